import type { RetriedCall } from '@countersign/core/backend'
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
const unavailable = 14
/** Of a call that was late, by the client's clock or by the service's. */
const deadlineExceeded = 4

/**
 * Makes the options that bound one call of the SDK, all of its attempts included, by a time and a signal.
 *
 * The SDK's calls take no signal, and with `timeout` alone they share the one that was set last among the calls of a
 * client that begin together; so each brings settings of its own, and a gRPC interceptor that cancels.
 *
 * @param call - told of each failed attempt that was not just late.
 *
 * @see [gRPC interceptors, L5](https://github.com/grpc/proposal/blob/master/L5-node-client-interceptors.md)
 */
export function callOptions({ signal, milliseconds, failed }: RetriedCall): GcpKmsCallOptions {
  let isRest = true
  let deadline: unknown

  function intercept<Options>(options: Options, next: (options: Options) => Attempt): Attempt {
    isRest = false
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
          const { code, details } = status
          if (code !== 0 && code !== deadlineExceeded) {
            failed(Object.assign(new Error(`${code} ${details}`), { code, details }))
          }
          listener.onReceiveStatus(status)
        },
      })
    return attempt
  }

  return {
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
    otherArgs: {
      options: {
        interceptors: [intercept],
        // Set by the SDK for each attempt. Over REST, where it takes no interceptors, nothing else tells of a retry.
        set deadline(next: unknown) {
          if (isRest && deadline !== undefined) failed(repeated())
          deadline = next
        },
        get deadline() {
          return deadline
        },
      },
    },
  }
}

/** Stands for the failure of an attempt over REST, which the SDK keeps to itself. It repeats what is unavailable. */
function repeated(): Error {
  return Object.assign(new Error('The SDK was repeating the request'), { code: unavailable })
}
