import { type Channel, channel } from 'node:diagnostics_channel'
import { backoff, Deadline, rateLimit, stopwatch, unlessAborted } from '@countersign/core/backend'
import { OAuthError } from './errors.ts'
import { retry } from './http.ts'
import { includesScope, isBounded, limitScope, uniteScopes } from './scope.ts'
import type { TokenResponse } from './token-request.ts'

/** An access token and its age. */
export interface CachedToken {
  readonly response: TokenResponse
  /** The granted scope, or the requested scope where the server does not name one. */
  readonly scope: string | undefined
  /** Whether a request may still use it. This ends shortly before its expiry, because a request takes time. */
  isUsable(): boolean
  /** Whether it is time to renew it in the background. */
  isOld(): boolean
  /** Seconds until its expiry; infinite when the server did not say. */
  secondsLeft(): number
}

/** Settings of {@link tokenCache}. */
export interface TokenCacheSettings {
  readonly issuer: string
  readonly clientId: string
  /** Sends one token request. */
  readonly request: (scope: string | undefined, signal: AbortSignal) => Promise<TokenResponse>
  /** A token to start with. */
  readonly tokenResponse: TokenResponse | undefined
  readonly scope: string | undefined
  /** The scope values that a resource may ask for; all when it is left out. */
  readonly maxScope: string | undefined
  /** Further attempts while a caller waits. */
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

/** Caches one token and renews it. All callers share each renewal. */
export interface TokenCache {
  /** Returns the cached token, or waits for a renewal. */
  get(signal?: Signal): Promise<CachedToken>
  /** Removes the token if it is still this one. */
  invalidate(token: string): void
  /**
   * Returns another token after a resource refused this one; `undefined` when another token cannot help, or when it is
   * too early for another renewal.
   */
  replace(refused: CachedToken, refusal: Refusal, signal?: Signal): Promise<CachedToken | undefined>
  /** Removes a token that a resource refused with a 401, unless it is too early for another renewal. */
  discard(refused: CachedToken): boolean
  /** Records that the resource accepted the token that {@link replace} returned, and resets the delay. */
  accepted(refusal: Refusal): void
}

interface Renewal {
  readonly background: boolean
  /** The requested scope. */
  readonly scope: string | undefined
  readonly outcome: Promise<CachedToken>
  /** Aborts when the last caller stops waiting; there are no further attempts then. */
  readonly abandoned: AbortController
  callers: number
}

/** Failures in a row that cause no delay for a caller who waits. */
const freeFailures = 2

export function tokenCache(settings: TokenCacheSettings): TokenCache {
  const { issuer, clientId, now, retries, timeoutSeconds, tokenResponse } = settings
  let { scope } = settings
  let cached = tokenResponse && cachedToken(tokenResponse, scope, stopwatch(now))
  let running: Renewal | undefined
  let lastFailure: unknown
  const failures = backoff(now)
  const refusals = { 401: backoff(now), 403: backoff(now) }
  // A resource may refuse tokens without end, even if it accepts each new token once.
  const mayRenew = rateLimit(10, 60, now)

  async function renew(
    background: boolean,
    wanted: string | undefined,
    abandoned: AbortSignal,
  ): Promise<CachedToken> {
    const report = tokenReport(issuer, clientId, background)
    const tooLate = () =>
      new OAuthError(
        'ERR_OAUTH_TIMEOUT',
        `No access token was obtained within ${timeoutSeconds} s; raise "timeoutSeconds" if the authorization server or the signer needs longer`,
      )
    const deadline = new Deadline(timeoutSeconds, undefined, tooLate, { keepAlive: false })
    let age = stopwatch(now)
    const attempt = () => {
      age = stopwatch(now)
      return settings.request(wanted, deadline.signal)
    }
    const limits = { retries: background ? 0 : retries, timeoutSeconds, abandoned }
    try {
      cached = cachedToken(await deadline.settle(retry(attempt, limits)), wanted, age)
      scope = wanted
      failures.succeeded()
      report()
      return cached
    } catch (reason) {
      // A refusal of more scope says nothing about a renewal with the same scope.
      if (wanted === scope) {
        lastFailure = reason
        failures.failed(OAuthError.is(reason) ? reason.retryAfterSeconds : undefined)
      }
      report({ reason })
      throw reason
    }
  }

  function start(background: boolean, wanted: string | undefined): Renewal {
    const abandoned = new AbortController()
    const outcome = renew(background, wanted, abandoned.signal).finally(() => {
      running = undefined
    })
    running = { background, scope: wanted, outcome, abandoned, callers: 0 }
    return running
  }

  async function outcomeOf(renewal: Renewal, signal: Signal): Promise<CachedToken> {
    renewal.callers++
    try {
      return await unlessAborted(renewal.outcome, signal)
    } finally {
      renewal.callers--
      if (renewal.callers === 0) renewal.abandoned.abort()
    }
  }

  /** Returns the token of the running renewal if it suits, or that of a new renewal if that is permitted. */
  async function obtain(
    wanted: string | undefined,
    suits: (token: CachedToken) => boolean,
    permitted: () => boolean,
    signal: Signal,
  ): Promise<CachedToken | undefined> {
    signal?.throwIfAborted()
    while (running !== undefined) {
      const { background, scope: requested } = running
      try {
        const token = await outcomeOf(running, signal)
        if (suits(token)) return token
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        // A renewal in the background, or for another scope, does not count as this caller's own attempt.
        if (!background && requested === wanted) throw error
      }
    }
    return permitted() ? outcomeOf(start(false, wanted), signal) : undefined
  }

  function discard(refused: CachedToken): boolean {
    if (refusals[401].tooEarly() || !mayRenew()) return false
    refusals[401].failed()
    if (cached === refused) cached = undefined
    return true
  }

  return {
    async get(signal) {
      signal?.throwIfAborted()
      if (cached?.isUsable()) {
        if (cached.isOld() && running === undefined && !failures.tooEarly()) {
          start(true, scope).outcome.catch(() => {})
        }
        return cached
      }
      const permitted = () => !failures.tooEarly(freeFailures)
      const renewed = await obtain(scope, () => true, permitted, signal)
      if (renewed === undefined) throw lastFailure
      return renewed
    },
    invalidate(token) {
      if (cached?.response.access_token === token) cached = undefined
    },
    async replace(refused, { status, scope: challenged }, signal) {
      const allowed = limitScope(challenged, settings.maxScope)
      const united = uniteScopes(scope, refused.scope, allowed)
      const missing = united !== undefined && isBounded(united) ? allowed : undefined
      const lacksScope = !includesScope(refused.scope, missing)
      // Another token with the same scope does not help against insufficient scope.
      if (status === 403 && !lacksScope) return undefined
      const suits = (token: CachedToken) => token !== refused && includesScope(token.scope, missing)
      // Of requests that were refused together, the later ones find the token that the first one had renewed.
      if (cached?.isUsable() === true && suits(cached)) return cached
      const permitted = () => {
        if (!lacksScope && failures.tooEarly(freeFailures)) throw lastFailure
        if (status === 401) return cached !== refused || discard(refused)
        // The token with insufficient scope stays cached: it serves other requests.
        if (refusals[403].tooEarly() || !mayRenew()) return false
        refusals[403].failed()
        return true
      }
      return obtain(lacksScope ? united : scope, suits, permitted, signal)
    },
    discard,
    accepted({ status }) {
      refusals[status].succeeded()
    },
  }
}

/** A token is reused for this long even when the server says that it expires sooner, to limit the token requests. */
const shortestReuseMs = 10_000

/**
 * Reads the lifetime of a token from its response, RFC 6749 §5.1.
 *
 * @param age - the milliseconds since the token was requested.
 */
function cachedToken(
  response: TokenResponse,
  requestedScope: string | undefined,
  age: () => number,
): CachedToken {
  const { expires_in: seconds = Number.POSITIVE_INFINITY } = response
  // A token response from the caller may contain NaN.
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
 * A message on the `node:diagnostics_channel` named `countersign:token`. It is published when an access token was
 * obtained, or could not be obtained, and contains no secret.
 */
export interface TokenMessage {
  readonly issuer: string
  readonly clientId: string
  /** Whether the token was renewed before its expiry, while no caller waited. */
  readonly background: boolean
  /** Wall-clock time from the first attempt to the outcome. */
  readonly durationSeconds: number
  readonly outcome: 'granted' | 'failed'
  /** Code of the `OAuthError` or `SignerError`, when the outcome is `failed`. */
  readonly code?: string
}

const tokenChannel: Channel = channel('countersign:token')

/** Starts to measure a renewal. Call the result when it ends, with the reason if it failed. */
function tokenReport(
  issuer: string,
  clientId: string,
  background: boolean,
): (failure?: { readonly reason: unknown }) => void {
  const start = performance.now()
  return (failure) => {
    if (!tokenChannel.hasSubscribers) return
    const { code } = (failure?.reason ?? {}) as { readonly code?: unknown }
    tokenChannel.publish({
      issuer,
      clientId,
      background,
      durationSeconds: (performance.now() - start) / 1000,
      outcome: failure === undefined ? 'granted' : 'failed',
      ...(typeof code === 'string' && { code }),
    } satisfies TokenMessage)
  }
}
