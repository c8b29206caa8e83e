/** Keeps what goes wrong again and again from being tried at each call. */
export interface Pacing {
  /** Whether it is too early for another try; the first `free` failures in a row cost no pause. */
  tooEarly(free: number): boolean
  /** Notes a try that was in vain, and how long the server asked to be left alone. */
  failed(askedSeconds?: number): void
  /** Notes a try that was not. */
  succeeded(): void
}

const longestSeconds = 60
/** A server may ask for a longer pause than is made without being asked, but not for an endless one. */
const longestAskedSeconds = 3600

/** Pauses that double with each failure in a row, from one second to a minute. */
export function pacing(now: () => number): Pacing {
  let failures = 0
  let failedAt = 0
  let asked = 0
  return {
    tooEarly(free) {
      if (failures === 0) return false
      const own = failures <= free ? 0 : Math.min(longestSeconds, 2 ** (failures - free - 1))
      const elapsed = now() - failedAt
      // A clock that was set back must not make the pause longer.
      return elapsed >= 0 && elapsed < Math.max(own, asked) * 1000
    },
    failed(askedSeconds = 0) {
      failures++
      failedAt = now()
      asked = Math.min(longestAskedSeconds, askedSeconds)
    },
    succeeded() {
      failures = 0
    },
  }
}
