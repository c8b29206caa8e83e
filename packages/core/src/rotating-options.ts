/** Options of {@link rotating}. */
export interface RotatingOptions {
  /** Age at which the key is loaded anew, in the background, when it is next used; 3600 by default. */
  readonly maxAgeSeconds?: number | undefined
  /** Bound on one load; 30 by default. */
  readonly timeoutSeconds?: number | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** Refuses options that are not of their type, and adds the defaults. */
export function readOptions(options: RotatingOptions): {
  readonly maxAgeSeconds: number
  readonly timeoutSeconds: number
  readonly now: () => number
} {
  const { maxAgeSeconds = 3600, timeoutSeconds = 30, now = Date.now } = options
  if (typeof maxAgeSeconds !== 'number' || !(maxAgeSeconds > 0)) {
    throw new TypeError('"maxAgeSeconds" must be a number above 0')
  }
  if (typeof timeoutSeconds !== 'number' || !(timeoutSeconds > 0 && timeoutSeconds <= 600)) {
    throw new TypeError('"timeoutSeconds" must be a number above 0 and up to 600')
  }
  if (typeof now !== 'function') throw new TypeError('"now" must be a function')
  return { maxAgeSeconds, timeoutSeconds, now }
}
