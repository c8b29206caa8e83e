import {
  type AuthorizationServer,
  discoverAuthorizationServer,
  discoverProtectedResource,
  type Fetch,
  OAuthError,
  type ResourceServer,
} from '@countersign/oauth'
import { bearerChallenge, sameIssuer, sanitize, timeoutSignal } from '@countersign/oauth/provider'

/** Where to get a token for a resource. */
export interface ChallengedResource {
  readonly as: AuthorizationServer
  /** The resource's identifier, as its metadata spells it. */
  readonly resource: string
  /** What the challenge asks for. */
  readonly scope: string | undefined
  readonly scopesSupported: readonly string[] | undefined
}

/** Options of {@link discoverChallengedResource}. */
export interface ChallengedResourceOptions {
  /** Pins the authorization server. */
  readonly issuer: string | undefined
  readonly fetch: Fetch
  /** Bound on the whole discovery; 30 by default. */
  readonly timeoutSeconds: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Finds the authorization server of a resource that answered 401, RFC 9728 §5.
 *
 * A resource without metadata is its own authorization server, at the root of its origin, as MCP had it before that RFC.
 */
export async function discoverChallengedResource(
  url: URL,
  response: Response,
  options: ChallengedResourceOptions,
): Promise<ChallengedResource> {
  const { issuer, fetch, timeoutSeconds = 30, signal: ofCaller } = options
  const timeout = timeoutSignal(timeoutSeconds)
  const signal = ofCaller === undefined ? timeout : AbortSignal.any([timeout, ofCaller])
  const challenge = await bearerChallenge(response)
  const { href } = new URL(url.pathname, url)
  const metadata = await discoverProtectedResource(href, {
    metadataUrl: challenge?.resourceMetadata,
    fetch,
    signal,
  }).catch((error) => {
    if (isAbsent(error)) return undefined
    throw error
  })
  const as = await discoverServerOf(href, metadata, { issuer, fetch, signal })
  return {
    as,
    resource: metadata?.resource ?? href,
    scope: challenge?.scope,
    scopesSupported: metadata?.scopes_supported,
  }
}

async function discoverServerOf(
  resource: string,
  metadata: ResourceServer | undefined,
  { issuer, ...request }: { issuer: string | undefined; fetch: Fetch; signal: AbortSignal },
): Promise<AuthorizationServer> {
  const named = metadata?.authorization_servers ?? []
  const { origin } = new URL(resource)
  if (issuer !== undefined) {
    if (named.length === 0 || named.some((one) => sameIssuer(one, issuer))) {
      return discoverAuthorizationServer(issuer, request)
    }
    const listed = sanitize(named.slice(0, 5).join(', '))
    throw new OAuthError(
      'ERR_OAUTH_ISSUER_MISMATCH',
      `The resource ${sanitize(resource)} names the authorization servers ${listed}, and not the pinned ${issuer}; nothing was signed`,
    )
  }
  const [first] = named
  if (first === undefined) return discoverServerAt(origin, request)
  return discoverAuthorizationServer(first, request)
}

async function discoverServerAt(
  origin: string,
  request: { fetch: Fetch; signal: AbortSignal },
): Promise<AuthorizationServer> {
  try {
    return await discoverAuthorizationServer(origin, request)
  } catch (error) {
    if (!OAuthError.is(error) || error.retryable) throw error
    throw new OAuthError(
      error.code,
      `The resource at ${sanitize(origin)} does not say where to get a token, and its origin is not an authorization server: ${error.message}. Pin the authorization server that it accepts tokens of, by the option "issuer"`,
      { status: error.status, cause: error },
    )
  }
}

/** Whether there is no metadata, rather than metadata that is wrong. */
function isAbsent(error: unknown): boolean {
  if (!OAuthError.is(error) || error.code !== 'ERR_OAUTH_DISCOVERY') return false
  return error.status !== undefined && error.status >= 400
}
