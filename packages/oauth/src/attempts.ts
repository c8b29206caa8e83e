import { setTimeout as sleep } from 'node:timers/promises'
import { unlessAborted } from '@countersign/core/backend'
import { OAuthError } from './error.ts'

/** What is attempted, how often, and for how long. */
export interface Attempts<T> {
  readonly ask: (signal: AbortSignal) => Promise<T>
  /** Attempts after the first. */
  readonly retries: number
  /** Bound on all attempts together. */
  readonly timeoutSeconds: number
  /** Aborts when nobody waits any more; nothing is tried again then. */
  readonly abandoned: AbortSignal
}

/** Asks until there is an answer, again only after a failure that may pass by itself, and not beyond the deadline. */
export async function attempts<T>(settings: Attempts<T>): Promise<T> {
  const { ask, retries, timeoutSeconds, abandoned } = settings
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(timeout(timeoutSeconds)), timeoutSeconds * 1000)
  timer.unref()
  const { signal } = deadline
  try {
    for (let left = retries, delaySeconds = 0.25; ; left--, delaySeconds *= 2) {
      try {
        // Caller-supplied functions may ignore the signal, so race them against it.
        return await unlessAborted(ask(signal), signal)
      } catch (error) {
        if (left === 0 || !OAuthError.is(error) || error.code !== 'ERR_OAUTH_UNAVAILABLE')
          throw error
        const jitter = Math.random()
        const own = delaySeconds * (0.5 + jitter / 2)
        // Never sooner than without the header, and not all clients in the same second.
        const wait = Math.max(own, (error.retryAfterSeconds ?? 0) * (1 + jitter / 4))
        if (wait > timeoutSeconds / 2) throw error
        // Keeps the process alive, because a caller waits.
        const untilThen = AbortSignal.any([signal, abandoned])
        await sleep(wait * 1000, undefined, { signal: untilThen }).catch(() => {
          throw error
        })
      }
    }
  } finally {
    clearTimeout(timer)
  }
}

function timeout(seconds: number): OAuthError {
  return new OAuthError(
    'ERR_OAUTH_TIMEOUT',
    `No access token could be had within ${seconds} s; raise "timeoutSeconds" if the authorization server or the signer needs longer`,
  )
}
