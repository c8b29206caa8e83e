import { onAbort } from './abort-listener.ts'

/**
 * Settles as what several callers wait for does, or rejects for this caller alone when its signal aborts.
 *
 * However many wait on one signal, it has one event listener.
 *
 * @param shared - what goes on whether or not this caller leaves.
 * @param signal - the caller's; without one, the promise is returned as it is.
 * @returns a promise that rejects with `signal.reason` as it is.
 *
 * @example
 * ```ts
 * import { unlessAborted } from '@countersign/core/backend'
 *
 * declare const renewal: Promise<string>
 *
 * const token = await unlessAborted(renewal, AbortSignal.timeout(1000))
 * ```
 *
 * @see [Node.js, AbortSignal](https://nodejs.org/api/globals.html#class-abortsignal)
 */
export function unlessAborted<T>(
  shared: Promise<T>,
  signal: AbortSignal | null | undefined,
): Promise<T> {
  if (signal === undefined || signal === null) return shared
  return new Promise((resolve, reject) => {
    const leave = signal.aborted ? () => {} : onAbort(signal, () => reject(signal.reason))
    if (signal.aborted) reject(signal.reason)
    shared.then(resolve, reject).finally(leave)
  })
}
