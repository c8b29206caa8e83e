import { onAbort } from './abort.ts'

/** One call, as {@link RetriedCalls.run} describes it to the function that makes it. */
export interface RetriedCall {
  /** Aborts on the caller's signal, and when the call is given up with an earlier failure. */
  readonly signal: AbortSignal
  /** Whole milliseconds until the deadline. */
  readonly milliseconds: number
  /** Reports why an attempt failed that the SDK will repeat. */
  failed(error: unknown): void
}

/** The calls of one signer, through an SDK that retries failures by itself. */
export interface RetriedCalls {
  run<T>(signal: AbortSignal, call: (call: RetriedCall) => Promise<T>): Promise<T>
  /** Ends the deadline that the calls of a load share; from now on each call has one of its own. */
  loaded(): void
}

/**
 * Reports why a call failed, and not only that its deadline passed, while a vendor's SDK is still retrying.
 *
 * Just before the deadline (a tenth of the time left, at most 250 ms), a call rejects with the failure that was reported
 * last. A call without a failed attempt goes on to the deadline, which is not this function's.
 *
 * @param timeoutSeconds - deadline of the load, and of each signature after it.
 * @param now - monotonic clock in milliseconds.
 *
 * @example
 * ```ts
 * import { retriedCalls } from '@countersign/core/backend'
 *
 * declare const sdk: {
 *   sign(options: { signal: AbortSignal; onRetry(error: unknown): void }): Promise<Uint8Array>
 * }
 * const calls = retriedCalls(10)
 * const signature = await calls.run(AbortSignal.timeout(10_000), ({ signal, failed }) =>
 *   sdk.sign({ signal, onRetry: failed }),
 * )
 * ```
 *
 * @see [AWS SDKs, retry behavior](https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html)
 */
export function retriedCalls(
  timeoutSeconds = 10,
  now: () => number = () => performance.now(),
): RetriedCalls {
  const start = now()
  let isLoading = true

  return {
    run(signal, call) {
      const left = timeoutSeconds * 1000 - (isLoading ? now() - start : 0)
      const controller = new AbortController()
      const leave = signal.aborted
        ? undefined
        : onAbort(signal, () => controller.abort(signal.reason))
      if (signal.aborted) controller.abort(signal.reason)
      return new Promise((resolve, reject) => {
        let latest: { readonly error: unknown } | undefined
        let isLate = false
        const giveUp = () => {
          if (latest === undefined || !isLate) return
          reject(latest.error)
          controller.abort(latest.error)
        }
        const timer = setTimeout(
          () => {
            isLate = true
            giveUp()
          },
          Math.max(0, left - Math.min(250, left / 10)),
        )
        timer.unref()
        const made = async () =>
          call({
            signal: controller.signal,
            milliseconds: Math.max(1, Math.ceil(left)),
            failed(error) {
              latest = { error }
              giveUp()
            },
          })
        made()
          .then(resolve, reject)
          .finally(() => {
            clearTimeout(timer)
            leave?.()
          })
      })
    },
    loaded() {
      isLoading = false
    },
  }
}
