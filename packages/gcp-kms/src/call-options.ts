import type { GcpKmsCallOptions } from './client.ts'

/** A call under way, as interceptors of gRPC see it. */
interface Attempt {
  start(metadata: unknown, listener: Listener): void
  cancelWithStatus(code: number, details: string): void
}

interface Listener {
  onReceiveStatus(status: Status): void
}

interface Status {
  readonly code: number
  readonly details: string
}

const cancelled = 1
/** Of a call that was late, by the client's clock or by the service's. */
export const deadlineExceeded = 4

/** What a call of the SDK is told, and what became of its attempts. */
export interface WatchedCall {
  readonly options: GcpKmsCallOptions
  /** Why the latest attempt failed that was not just late; the SDK keeps it to itself while it tries again. */
  latestFailure(): Error | undefined
}

/**
 * Options that hold one call of the SDK to a time and to a signal, all of its attempts included.
 *
 * The SDK's calls take no signal, and with `timeout` alone they share the one that was set last among the calls of a
 * client that begin together; so each brings settings of its own, and a gRPC interceptor that cancels.
 *
 * @see [gRPC interceptors, L5](https://github.com/grpc/proposal/blob/master/L5-node-client-interceptors.md)
 */
export function watchedCall(signal: AbortSignal, milliseconds: number): WatchedCall {
  let latest: Status | undefined

  function intercept<Options>(options: Options, next: (options: Options) => Attempt): Attempt {
    const attempt = next(options)
    const cancel = () => attempt.cancelWithStatus(cancelled, 'The signer gave up')
    if (signal.aborted) cancel()
    else signal.addEventListener('abort', cancel, { once: true })
    const start = attempt.start.bind(attempt)
    attempt.start = (metadata, listener) =>
      start(metadata, {
        ...listener,
        onReceiveStatus(status) {
          signal.removeEventListener('abort', cancel)
          if (status.code !== 0 && status.code !== deadlineExceeded) latest = status
          listener.onReceiveStatus(status)
        },
      })
    return attempt
  }

  return {
    options: {
      timeout: milliseconds,
      retry: {
        // The SDK's own, but for the bounds: nothing may be left asleep for long when the signer has given up.
        backoffSettings: {
          initialRetryDelayMillis: 100,
          retryDelayMultiplier: 1.3,
          maxRetryDelayMillis: 1000,
          initialRpcTimeoutMillis: milliseconds,
          rpcTimeoutMultiplier: 1,
          maxRpcTimeoutMillis: milliseconds,
          totalTimeoutMillis: milliseconds,
        },
      },
      otherArgs: { options: { interceptors: [intercept] } },
    },
    latestFailure() {
      if (latest === undefined) return undefined
      const { code, details } = latest
      return Object.assign(new Error(`${code} ${details}`), { code, details })
    },
  }
}
