/** Delays retries after repeated failures. */
export interface Backoff {
  /** Whether it is too early for another attempt; the first `free` failures in a row cause no delay. */
  tooEarly(free?: number): boolean
  /** Records a failure, and how many seconds the server asked the client to wait. */
  failed(retryAfterSeconds?: number): void
  /** Records a success and resets the delay. */
  succeeded(): void
}

const longestSeconds = 60
/** A server may ask for a longer delay than the client makes by itself, but not for an endless one. */
const longestAskedSeconds = 3600

/**
 * Makes a delay that doubles with each failure in a row, from one second to a minute. Each delay is cut at random by
 * up to half, so that processes that failed together do not retry together.
 *
 * It starts no timer: the caller asks {@link Backoff.tooEarly} before each attempt.
 *
 * @param now - the clock, in milliseconds.
 *
 * @example
 * ```ts
 * import { backoff } from '@countersign/core/backend'
 *
 * const delay = backoff(Date.now)
 * delay.failed()
 * console.log(delay.tooEarly()) // true for half a second to a second
 * ```
 *
 * @see [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)
 */
export function backoff(now: () => number): Backoff {
  let failures = 0
  let failedAt = 0
  let askedSeconds = 0
  let jitter = 1
  return {
    tooEarly(free = 0) {
      if (failures === 0) return false
      const doubled = Math.min(longestSeconds, 2 ** (failures - free - 1))
      const own = failures <= free ? 0 : doubled * jitter
      const elapsed = now() - failedAt
      // A clock that was set back must not make the delay longer.
      return elapsed >= 0 && elapsed < Math.max(own, askedSeconds) * 1000
    },
    failed(retryAfterSeconds = 0) {
      failures++
      failedAt = now()
      jitter = 0.5 + Math.random() / 2
      // Clients that were told the same delay must not return in the same second.
      askedSeconds = Math.min(longestAskedSeconds, retryAfterSeconds) * (1.5 - jitter / 2)
    },
    succeeded() {
      failures = 0
    },
  }
}

/**
 * Limits how often something may happen: a number of times at once, and after that once in each interval.
 *
 * @param burst - how often it may happen at once.
 * @param refillSeconds - the interval in which it may happen once more, up to `burst` times.
 * @param now - the clock, in milliseconds.
 * @returns a function that tells whether it may happen now, and counts it if so.
 *
 * @example
 * ```ts
 * import { rateLimit } from '@countersign/core/backend'
 *
 * const mayRequest = rateLimit(10, 60, Date.now)
 * if (!mayRequest()) throw new Error('too many requests')
 * ```
 *
 * @see [RFC 6585 §4](https://www.rfc-editor.org/rfc/rfc6585#section-4)
 */
export function rateLimit(burst: number, refillSeconds: number, now: () => number): () => boolean {
  let left = burst
  let elapsed = stopwatch(now)
  return () => {
    const refilled = Math.floor(elapsed() / (refillSeconds * 1000))
    if (refilled > 0) {
      left = Math.min(burst, left + refilled)
      elapsed = stopwatch(now)
    }
    if (left === 0) return false
    left--
    return true
  }
}

/**
 * Starts to measure time, by the wall clock or by the monotonic clock, whichever has advanced more: the wall clock may
 * be set back, and the monotonic clock stops while the machine sleeps.
 *
 * @param now - the wall clock, in milliseconds.
 * @returns a function that returns the milliseconds since the start.
 *
 * @example
 * ```ts
 * import { stopwatch } from '@countersign/core/backend'
 *
 * const elapsed = stopwatch(Date.now)
 * console.log(`${elapsed()} ms`)
 * ```
 *
 * @see [Node.js, performance.now](https://nodejs.org/api/perf_hooks.html#performancenow)
 */
export function stopwatch(now: () => number): () => number {
  const wall = now()
  const monotonic = performance.now()
  return () => Math.max(now() - wall, performance.now() - monotonic)
}
