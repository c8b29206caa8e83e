import {
  type AuthorizationServer,
  type ClientAuthentication,
  type Fetch,
  OAuthError,
  type TokenResponse,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import {
  backoff,
  type Dpop,
  limitScope,
  sameIssuer,
  sanitize,
  uniteScopes,
  unlessAborted,
} from '@countersign/oauth/internal'
import type { GrantParameters } from './client-authentication.ts'
import { discoverResource } from './resource-discovery.ts'

/** The authorization server, resource and scope of token requests. */
export interface TokenTarget {
  readonly as: AuthorizationServer
  /** The resource's identifier, spelled as in its metadata. */
  readonly resource: string
  readonly scope: string | undefined
}

/** A {@link TokenTarget} with the source of its tokens. */
export interface TargetSource extends TokenTarget {
  readonly source: TokenSource
}

/** Settings of {@link resourceTokens}. */
export interface ResourceTokensSettings {
  readonly clientId: string
  readonly authentication: ClientAuthentication
  /** Makes the parameters of the token requests; those of the client credentials grant when it is left out. */
  readonly grant: GrantParameters | undefined
  readonly dpop: Dpop | undefined
  readonly issuer: string | undefined
  readonly scope: string | undefined
  readonly maxScope: string | undefined
  readonly metadataLifetimeSeconds: number
  readonly timeoutSeconds: number
  readonly fetch: Fetch
  readonly now: () => number
}

/** The tokens for one MCP server, from the authorization server that was discovered for it. */
export interface ResourceTokens {
  /** The source in use; `undefined` until an authorization server was discovered. */
  current(): TargetSource | undefined
  /**
   * The source in use once it has a token; `undefined` when the authorization server has to be discovered, for the
   * first time or again.
   */
  ready(signal?: AbortSignal | null): Promise<TargetSource | undefined>
  /**
   * The source to use after the resource answered 401 to a token of `refused`, or to a request without a token. Callers
   * that were refused together share one discovery.
   */
  afterRefusal(
    url: URL,
    response: Response,
    refused: TargetSource | undefined,
    signal?: AbortSignal | null,
  ): Promise<TargetSource>
  /** Discovers where to request a token; delayed after repeated failures. */
  discover(url: URL, response?: Response): Promise<TokenTarget>
  /** Uses this target from now on, and a token of it that was requested elsewhere. */
  use(target: TokenTarget, token?: TokenResponse): TargetSource
  /** Has the authorization server discovered again. */
  forget(): void
}

/** Failed discoveries in a row that cause no delay. */
const freeFailures = 2

/** Makes the {@link ResourceTokens} of a provider. */
export function resourceTokens(settings: ResourceTokensSettings): ResourceTokens {
  const { issuer, scope, maxScope, metadataLifetimeSeconds, timeoutSeconds, fetch, now } = settings
  let current: TargetSource | undefined
  let staleAt = 0
  let discovering: Promise<TargetSource> | undefined
  let failure: unknown
  const failures = backoff(now)
  const moves = backoff(now)

  async function discover(url: URL, response?: Response): Promise<TokenTarget> {
    if (failures.tooEarly(freeFailures)) throw failure
    try {
      const found = await discoverResource(url, { response, issuer, fetch, timeoutSeconds })
      failures.succeeded()
      const { as, resource } = found
      return { as, resource, scope: chooseScope(found.scope, found.scopesSupported) }
    } catch (error) {
      failure = error
      failures.failed(OAuthError.is(error) ? error.retryAfterSeconds : undefined)
      throw error
    }
  }

  /** The configured scope and the challenge's, or else every scope that the resource supports. */
  function chooseScope(challenged?: string, supported?: readonly string[]): string | undefined {
    return (
      uniteScopes(scope, limitScope(challenged, maxScope)) ??
      limitScope(supported?.join(' '), maxScope)
    )
  }

  /** Finds out whether a resource that refuses a new token has moved to another authorization server. */
  async function discoverMove(
    url: URL,
    response: Response,
    refused: TargetSource,
  ): Promise<TokenTarget> {
    if (moves.tooEarly()) throw tokenRefused(refused, 401)
    // Never reset, because a resource that names another server each time would cause a signature each time.
    moves.failed()
    const found = await discover(url, response)
    if (isSameTarget(found, refused)) throw tokenRefused(refused, 401)
    return found
  }

  function use(target: TokenTarget, token?: TokenResponse): TargetSource {
    const source = tokenSource({
      ...settings,
      issuer: target.as.issuer,
      scope: target.scope,
      resource: target.resource,
      metadata: target.as,
      tokenResponse: token,
    })
    staleAt = now() + metadataLifetimeSeconds * 1000
    current = { ...target, source }
    return current
  }

  return {
    discover,
    use,
    current: () => current,
    async ready(signal) {
      const ready = current
      try {
        await ready?.source.token({ signal: signal ?? undefined })
      } catch (error) {
        if (signal?.aborted || now() < staleAt) throw error
        // The resource may have moved to another authorization server in the meantime.
        if (ready === current) current = undefined
        return undefined
      }
      return ready
    },
    async afterRefusal(url, response, refused, signal) {
      if (current !== undefined && current !== refused) return current
      const found = () =>
        refused === undefined ? discover(url, response) : discoverMove(url, response, refused)
      discovering ??= found()
        .then((target) => use(target))
        .finally(() => {
          discovering = undefined
        })
      return unlessAborted(discovering, signal)
    },
    forget() {
      current = undefined
    },
  }
}

function isSameTarget(one: TokenTarget, other: TokenTarget): boolean {
  return (
    sameIssuer(one.as.issuer, other.as.issuer) &&
    one.as.token_endpoint === other.as.token_endpoint &&
    one.resource === other.resource
  )
}

/** The error for a resource that does not accept a new token. */
export function tokenRefused(
  { as, resource }: TokenTarget,
  status: number,
  scope?: string,
  advice = 'no other token was requested',
): OAuthError {
  const asked = scope === undefined ? '' : ` and asks for the scope ${sanitize(scope)}`
  return new OAuthError(
    'ERR_OAUTH_TOKEN_REFUSED',
    `The resource ${sanitize(resource)} answers with HTTP status ${status} to the token that ${sanitize(as.issuer)} issued for it${asked}; ${advice}`,
    { status },
  )
}
