import type { TokenResponse } from './token-request.ts'

/** An access token with its age. */
export interface CachedToken {
  readonly response: TokenResponse
  /** The granted scope, or the requested one where the server does not say. */
  readonly scope: string | undefined
  /** Whether callers may get it. That ends a little ahead of its expiry, because a request takes time. */
  isUsable(): boolean
  /** Whether it is time to renew it in the background. */
  isOld(): boolean
  /** How long the server accepts it from now on; infinite when the server did not say. */
  secondsLeft(): number
}

/** A token is reused for this long, even when the server says that it expires sooner, so that requests are bounded. */
const shortestReuseMs = 10_000

/**
 * Reads the lifetime of a token from its response, RFC 6749 §5.1.
 *
 * @param age - started when the token was requested.
 */
export function cachedToken(
  response: TokenResponse,
  requestedScope: string | undefined,
  age: () => number,
): CachedToken {
  const { expires_in: seconds = Number.POSITIVE_INFINITY } = response
  // A response that was obtained elsewhere may say NaN.
  const lifetime = (seconds || 0) * 1000
  const reuse = Math.max(lifetime, shortestReuseMs)
  const unusableAfter = reuse - Math.min(reuse / 10, 5_000)
  const oldAfter = reuse - Math.min(reuse / 5, 300_000)
  return {
    response,
    scope: response.scope ?? requestedScope,
    isUsable: () => age() < unusableAfter,
    isOld: () => age() >= oldAfter,
    secondsLeft: () => Math.max(0, (lifetime - age()) / 1000),
  }
}

/**
 * Starts to measure time, by the wall clock or by the monotonic clock, whichever has advanced more: the wall clock may
 * be set back, and the monotonic clock stops while the machine sleeps.
 *
 * @param now - the wall clock, in milliseconds.
 * @returns a function that returns the milliseconds since the start.
 */
export function stopwatch(now: () => number): () => number {
  const wall = now()
  const monotonic = performance.now()
  return () => Math.max(now() - wall, performance.now() - monotonic)
}
