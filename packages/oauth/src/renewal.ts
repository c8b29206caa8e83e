import { backoff, unlessAborted } from '@countersign/core/backend'
import { attempts } from './attempts.ts'
import { type CachedToken, cachedToken, stopwatch } from './cached-token.ts'
import { OAuthError } from './error.ts'
import { includesScope, isBounded, limitScope, uniteScopes } from './scope.ts'
import type { TokenResponse } from './token-request.ts'

/** What a renewal needs from outside. */
export interface RenewalSettings {
  /** Asks for a token once, authenticating anew. */
  readonly ask: (scope: string | undefined, signal: AbortSignal) => Promise<TokenResponse>
  /** Told of each outcome. */
  readonly report: (background: boolean, seconds: number, failure?: unknown) => void
  readonly scope: string | undefined
  /** The scope values that a resource may ask for; all when it is left out. */
  readonly maxScope?: string | undefined
  /** Attempts after the first, while somebody waits. */
  readonly retries: number
  /** Bound on one renewal with all its attempts. */
  readonly timeoutSeconds: number
  readonly now: () => number
}

/** How a resource refused a token. */
export interface Refusal {
  readonly status: 401 | 403
  /** The scope that it asks for. */
  readonly scope: string | undefined
}

type Signal = AbortSignal | null | undefined

/** Caches one token, renews it ahead of its expiry, and lets all callers share each renewal. */
export interface Renewal {
  /** The token, at once while it is good. */
  current(signal?: Signal): Promise<CachedToken>
  /** Forgets the token if it is still this one. */
  invalidate(token: string): void
  /**
   * Returns a token that the resource may accept where it refused this one; `undefined` when another token cannot help,
   * or when it is too early for another renewal.
   */
  replace(refused: CachedToken, refusal: Refusal, signal?: Signal): Promise<CachedToken | undefined>
  /** Forgets a token that a resource refused with a 401, unless it is too early for another renewal. */
  discard(refused: CachedToken): boolean
  /** Records that a new token was accepted where the one before was refused, and resets the delay. */
  helped(refusal: Refusal): void
  /** Starts out with a token that was obtained elsewhere. */
  adopt(response: TokenResponse): void
}

interface Pending {
  readonly background: boolean
  /** What is asked for. */
  readonly scope: string | undefined
  readonly outcome: Promise<CachedToken>
  readonly abandoned: AbortController
  waiting: number
}

/** Failures in a row that cause no delay for a caller who waits. */
const freeFailures = 2

/** Renewals that refusals may cause at once. */
const refusalBurst = 10
/** After that, refusals may cause one more renewal in this time. */
const refusalRefillMs = 60_000

/** Bounds the renewals that a resource can cause by refusing tokens, also if it accepts each new one once. */
function renewalBudget(now: () => number): { spend(): boolean } {
  let left = refusalBurst
  let elapsed = stopwatch(now)
  return {
    spend() {
      const refilled = Math.floor(elapsed() / refusalRefillMs)
      if (refilled > 0) {
        left = Math.min(refusalBurst, left + refilled)
        elapsed = stopwatch(now)
      }
      if (left === 0) return false
      left--
      return true
    },
  }
}

export function tokenRenewal(settings: RenewalSettings): Renewal {
  const { ask, report, now } = settings
  let scope = settings.scope
  let cached: CachedToken | undefined
  let pending: Pending | undefined
  let failure: unknown
  const failing = backoff(now)
  const refusals = { 401: backoff(now), 403: backoff(now) }
  const budget = renewalBudget(now)

  function start(background: boolean, scope: string | undefined): Pending {
    const abandoned = new AbortController()
    const outcome = renew(background, scope, abandoned.signal).finally(() => {
      pending = undefined
    })
    pending = { background, scope, outcome, abandoned, waiting: 0 }
    return pending
  }

  async function renew(
    background: boolean,
    asked: string | undefined,
    abandoned: AbortSignal,
  ): Promise<CachedToken> {
    const start = performance.now()
    const seconds = () => (performance.now() - start) / 1000
    const { retries, timeoutSeconds } = settings
    let age = stopwatch(now)
    const askNow = (signal: AbortSignal) => {
      age = stopwatch(now)
      return ask(asked, signal)
    }
    try {
      const attempted = {
        ask: askNow,
        retries: background ? 0 : retries,
        timeoutSeconds,
        abandoned,
      }
      cached = cachedToken(await attempts(attempted), asked, age)
      scope = asked
      failing.succeeded()
      report(background, seconds())
      return cached
    } catch (error) {
      // That more scope was refused says nothing of renewals of what there is.
      if (asked === scope) {
        failure = error
        failing.failed(OAuthError.is(error) ? error.retryAfterSeconds : undefined)
      }
      report(background, seconds(), error)
      throw error
    }
  }

  async function outcomeOf(renewal: Pending, signal: Signal): Promise<CachedToken> {
    renewal.waiting++
    try {
      return await unlessAborted(renewal.outcome, signal)
    } finally {
      renewal.waiting--
      if (renewal.waiting === 0) renewal.abandoned.abort()
    }
  }

  /** The token of the renewal under way if it suits, else of a new one if that is permitted. */
  async function obtain(
    wanted: string | undefined,
    suits: (token: CachedToken) => boolean,
    permitted: () => boolean,
    signal: Signal,
  ): Promise<CachedToken | undefined> {
    signal?.throwIfAborted()
    while (pending !== undefined) {
      const { background, scope: asked } = pending
      try {
        const token = await outcomeOf(pending, signal)
        if (suits(token)) return token
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        // What was asked for another purpose, or without patience, is worth another try.
        if (!background && asked === wanted) throw error
      }
    }
    return permitted() ? outcomeOf(start(false, wanted), signal) : undefined
  }

  async function current(signal?: Signal): Promise<CachedToken> {
    signal?.throwIfAborted()
    const token = cached
    if (token?.isUsable()) {
      if (token.isOld() && pending === undefined && !failing.tooEarly()) {
        start(true, scope).outcome.catch(() => {})
      }
      return token
    }
    const patient = () => !failing.tooEarly(freeFailures)
    const renewed = await obtain(scope, () => true, patient, signal)
    if (renewed === undefined) throw failure
    return renewed
  }

  function discard(refused: CachedToken): boolean {
    if (refusals[401].tooEarly() || !budget.spend()) return false
    refusals[401].failed()
    if (cached === refused) cached = undefined
    return true
  }

  const replace: Renewal['replace'] = async (refused, { status, scope: challenged }, signal) => {
    const allowed = limitScope(challenged, settings.maxScope)
    const united = uniteScopes(scope, refused.scope, allowed)
    const missing = united !== undefined && isBounded(united) ? allowed : undefined
    const lacking = !includesScope(refused.scope, missing)
    // Another token of the same scope is no answer to a lack of scope.
    if (status === 403 && !lacking) return undefined
    const suits = (token: CachedToken) => token !== refused && includesScope(token.scope, missing)
    // Of callers that were refused together, the late ones find what the first have had renewed.
    if (cached?.isUsable() === true && suits(cached)) return cached
    const permitted = () => {
      if (!lacking && failing.tooEarly(freeFailures)) throw failure
      if (status === 401) return cached !== refused || discard(refused)
      // The token that lacks scope stays: it is good for other requests.
      if (refusals[403].tooEarly() || !budget.spend()) return false
      refusals[403].failed()
      return true
    }
    const wanted = lacking ? united : scope
    return obtain(wanted, suits, permitted, signal)
  }

  return {
    current,
    replace,
    discard,
    invalidate(token) {
      if (cached?.response.access_token === token) cached = undefined
    },
    helped({ status }) {
      refusals[status].succeeded()
    },
    adopt(response) {
      cached = cachedToken(response, scope, stopwatch(now))
    },
  }
}
