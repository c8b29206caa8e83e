import { unlessAborted } from '@countersign/oauth/provider'

/**
 * Makes a function that waits for something no longer than so many seconds, and until the caller's signal aborts.
 *
 * What is late is left with a `TimeoutError` as the reason, whether it heeds its signal or not.
 */
export function within(seconds: number, caller: AbortSignal | undefined) {
  return async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    caller?.throwIfAborted()
    const deadline = new AbortController()
    const tooLate = new DOMException(`no answer within ${seconds} s`, 'TimeoutError')
    // Holds the process: what is waited for may not.
    const timer = setTimeout(() => deadline.abort(tooLate), seconds * 1000)
    const signals = caller === undefined ? [deadline.signal] : [caller, deadline.signal]
    const signal = AbortSignal.any(signals)
    try {
      return await unlessAborted(work(signal), signal)
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Whether an error is the reason of {@link within}'s own deadline. */
export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError'
}
