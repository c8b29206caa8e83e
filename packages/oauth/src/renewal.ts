import { setTimeout as sleep } from 'node:timers/promises'
import { OAuthError } from './error.ts'
import { includesScope, uniteScopes } from './scope.ts'
import type { TokenResponse } from './token-request.ts'
import { unlessAborted } from './unless-aborted.ts'

/** A token with what is known of its life. Times are in milliseconds since the epoch. */
export interface HeldToken {
  readonly response: TokenResponse
  /** What was granted, or asked for where the server does not say. */
  readonly scope: string | undefined
  /** When the server stops accepting it; infinite when the server did not say. */
  readonly expiresAt: number
}

/** What a renewal needs from outside. */
export interface RenewalSettings {
  /** Asks for a token once, authenticating anew. */
  readonly ask: (scope: string | undefined, signal: AbortSignal) => Promise<TokenResponse>
  /** Told of each outcome. */
  readonly report: (background: boolean, seconds: number, failure?: unknown) => void
  readonly scope: string | undefined
  /** Attempts after the first, while somebody waits. */
  readonly retries: number
  /** Bound on one renewal with all its attempts. */
  readonly timeoutSeconds: number
  readonly now: () => number
}

/** Keeps one token, renews it ahead of its expiry, and lets all callers share each renewal. */
export interface Renewal {
  /** The token, at once while it is good. */
  current(signal?: AbortSignal | null): Promise<HeldToken>
  /** Forgets the token if it is still this one. */
  invalidate(token: string): void
  /**
   * A token other than the one that the resource refused, and with this scope; `undefined` when the last such
   * replacement was refused too, only just now.
   */
  replace(
    refused: HeldToken,
    challenge: { readonly status: number; readonly scope: string | undefined },
    signal?: AbortSignal | null,
  ): Promise<HeldToken | undefined>
  /** Forgets a token that the resource refused, unless its predecessor was refused too, only just now. */
  discard(refused: HeldToken): boolean
  /** Notes that the resource accepted a token. */
  accepted(): void
  /** Starts out with a token that was obtained elsewhere. */
  adopt(response: TokenResponse): void
}

interface Pending {
  readonly background: boolean
  readonly outcome: Promise<HeldToken>
}

export function tokenRenewal(settings: RenewalSettings): Renewal {
  const { ask, report, retries, timeoutSeconds, now } = settings
  let scope = settings.scope
  let held: HeldToken | undefined
  let renewAt = 0
  let unusableAt = 0
  let pending: Pending | undefined
  let failures = 0
  let failedAt = 0
  let failure: unknown
  let replacements = 0
  let replacedAt = 0

  function keep(
    response: TokenResponse,
    askedScope: string | undefined,
    askedAt: number,
  ): HeldToken {
    const lifetime = (response.expires_in ?? Number.POSITIVE_INFINITY) * 1000
    const expiresAt = askedAt + lifetime
    held = { response, scope: response.scope ?? askedScope, expiresAt }
    renewAt = expiresAt - Math.min(lifetime / 5, 300_000)
    unusableAt = expiresAt - Math.min(lifetime / 10, 5_000)
    return held
  }

  function start(background: boolean): Promise<HeldToken> {
    if (pending !== undefined) return pending.outcome
    const outcome = renew(background).finally(() => {
      pending = undefined
    })
    pending = { background, outcome }
    return outcome
  }

  async function renew(background: boolean): Promise<HeldToken> {
    const startedAt = now()
    const start = performance.now()
    const seconds = () => (performance.now() - start) / 1000
    try {
      const { response, askedScope } = await attempt(background ? 0 : retries)
      failures = 0
      report(background, seconds())
      return keep(response, askedScope, startedAt)
    } catch (error) {
      failures++
      failedAt = now()
      failure = error
      report(background, seconds(), error)
      throw error
    }
  }

  async function attempt(
    left: number,
    signal: AbortSignal = AbortSignal.timeout(timeoutSeconds * 1000),
    delaySeconds = 0.25,
  ): Promise<{ response: TokenResponse; askedScope: string | undefined }> {
    const askedScope = scope
    try {
      return { response: await ask(askedScope, signal), askedScope }
    } catch (error) {
      if (left === 0 || !OAuthError.is(error) || error.code !== 'ERR_OAUTH_UNAVAILABLE') throw error
      const wait = error.retryAfterSeconds ?? delaySeconds * (0.5 + Math.random() / 2)
      if (wait > timeoutSeconds / 2) throw error
      await sleep(wait * 1000, undefined, { signal }).catch(() => {
        throw error
      })
      return attempt(left - 1, signal, delaySeconds * 2)
    }
  }

  /** How long after the last failure nothing is tried: what the server asked for, else longer each time. */
  function quietSeconds(patience: number): number {
    if (failures === 0) return 0
    const asked = OAuthError.is(failure) ? failure.retryAfterSeconds : undefined
    return asked ?? (failures < patience ? 0 : Math.min(60, 2 ** (failures - patience)))
  }

  async function current(signal?: AbortSignal | null): Promise<HeldToken> {
    signal?.throwIfAborted()
    const time = now()
    if (held !== undefined && time < unusableAt) {
      if (time >= renewAt && time >= failedAt + quietSeconds(1) * 1000) start(true).catch(() => {})
      return held
    }
    if (pending?.background) {
      // Its failure is not this caller's: somebody waits now, so it is worth another try.
      const outcome = await unlessAborted(pending.outcome, signal).catch(() => undefined)
      if (outcome !== undefined) return outcome
      signal?.throwIfAborted()
    }
    if (pending === undefined && now() < failedAt + quietSeconds(3) * 1000) throw failure
    return unlessAborted(start(false), signal)
  }

  /** A resource that refuses every token must not cost a signature for each request. */
  function discard(refused: HeldToken): boolean {
    if (replacements > 0 && now() < replacedAt + Math.min(60, 2 ** (replacements - 1)) * 1000) {
      return false
    }
    replacements++
    replacedAt = now()
    if (held === refused) held = undefined
    return true
  }

  const replace: Renewal['replace'] = async (refused, challenge, signal) => {
    const suits = (token: HeldToken | undefined): token is HeldToken =>
      token !== undefined && token !== refused && includesScope(token.scope, challenge.scope)
    // Callers that were refused together share one renewal; one that began before may not have their scope.
    const shared = pending === undefined ? held : await unlessAborted(pending.outcome, signal)
    if (suits(shared)) return shared
    const kept = held
    if (pending === undefined && !discard(refused)) return undefined
    // A token whose scope is too small is good for other requests still.
    if (challenge.status === 403) held = kept
    const before = scope
    scope = uniteScopes(scope, challenge.scope)
    try {
      return await unlessAborted(start(false), signal)
    } catch (error) {
      scope = before
      throw error
    }
  }

  return {
    current,
    replace,
    discard,
    invalidate(token) {
      if (held?.response.access_token === token) held = undefined
    },
    accepted() {
      replacements = 0
    },
    adopt(response) {
      keep(response, scope, now())
    },
  }
}
