/** Pauses between tries that keep being in vain. */
export interface Backoff {
  /** Whether it is too early for another try. */
  tooEarly(): boolean
  /** Notes a try that was in vain. */
  failed(): void
  /** Notes one that was not. */
  succeeded(): void
}

const longestSeconds = 60

/** Pauses that double from one second to a minute, each cut short by up to half, so that processes drift apart. */
export function backoff(now: () => number): Backoff {
  let failures = 0
  let failedAt = 0
  let pause = 0
  return {
    tooEarly() {
      const elapsed = now() - failedAt
      // A clock that was set back must not make the pause longer.
      return failures > 0 && elapsed >= 0 && elapsed < pause
    },
    failed() {
      failures++
      failedAt = now()
      pause = Math.min(longestSeconds, 2 ** (failures - 1)) * (500 + Math.random() * 500)
    },
    succeeded() {
      failures = 0
    },
  }
}
