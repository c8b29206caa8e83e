import {
  type AuthorizationServer,
  discoverAuthorizationServer,
  discoverProtectedResource,
  type Fetch,
  OAuthError,
  type ResourceServer,
} from '@countersign/oauth'
import { Deadline, sameIssuer, sanitize, tokenChallenge } from '@countersign/oauth/internal'

/** What a client has to know to request a token for a resource. */
export interface DiscoveredResource {
  readonly as: AuthorizationServer
  /** The resource's identifier, spelled as in its metadata. */
  readonly resource: string
  /** The scope that the challenge asks for. */
  readonly scope: string | undefined
  readonly scopesSupported: readonly string[] | undefined
}

/** Options of {@link discoverResource}. */
export interface DiscoverResourceOptions {
  /** The resource's answer to a request without a token; such a request is sent when this is left out. */
  readonly response?: Response | undefined
  /** Pins the authorization server. */
  readonly issuer: string | undefined
  readonly fetch: Fetch
  /** Bound on the whole discovery; 30 by default. */
  readonly timeoutSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
}

interface RequestOptions {
  readonly fetch: Fetch
  readonly signal: AbortSignal
}

/** An MCP request that any server can answer, and that changes nothing. */
export const ping: RequestInit = {
  method: 'POST',
  headers: {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  },
  body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
  redirect: 'manual',
}

/**
 * Discovers the authorization server of a resource from its challenge and its metadata, RFC 9728 §5.
 *
 * A resource without metadata is taken for its own authorization server, at the root of its origin, as MCP specified
 * before RFC 9728.
 */
export async function discoverResource(
  url: URL,
  options: DiscoverResourceOptions,
): Promise<DiscoveredResource> {
  const { timeoutSeconds = 30, signal } = options
  const deadline = new Deadline(timeoutSeconds, signal, () => {
    const message = `The authorization server of ${shown(url)} was not discovered within ${timeoutSeconds} s`
    return new OAuthError('ERR_OAUTH_TIMEOUT', message)
  })
  return deadline.settle(discover(url, options, deadline.signal))
}

async function discover(
  url: URL,
  { issuer, fetch, response: given }: DiscoverResourceOptions,
  signal: AbortSignal,
): Promise<DiscoveredResource> {
  const request = { fetch, signal }
  const response = given ?? (await sendPing(url, request))
  const challenge = await tokenChallenge(response, ['bearer', 'dpop'])
  const { href } = new URL(url.pathname, url)
  const metadata = await discoverProtectedResource(href, {
    metadataUrl: challenge?.resourceMetadata,
    ...request,
  }).catch((error) => {
    if (isMissing(error)) return undefined
    throw error
  })
  return {
    as: await discoverServer(href, metadata, issuer, request),
    resource: metadata?.resource ?? href,
    scope: challenge?.scope,
    scopesSupported: metadata?.scopes_supported,
  }
}

async function sendPing(url: URL, { fetch, signal }: RequestOptions): Promise<Response> {
  const response = await fetch(url, { ...ping, signal }).catch((cause) => {
    signal.throwIfAborted()
    const message = `The MCP server ${shown(url)} cannot be reached`
    throw new OAuthError('ERR_OAUTH_UNAVAILABLE', message, { cause })
  })
  await response.body?.cancel()
  return response
}

/** Origin and path of a URL, without its query. */
function shown(url: URL): string {
  return sanitize(url.origin + url.pathname)
}

async function discoverServer(
  resource: string,
  metadata: ResourceServer | undefined,
  issuer: string | undefined,
  request: RequestOptions,
): Promise<AuthorizationServer> {
  const named = metadata?.authorization_servers ?? []
  if (issuer === undefined) {
    const [first] = named
    return first === undefined
      ? discoverServerAt(new URL(resource).origin, request)
      : discoverAuthorizationServer(first, request)
  }
  if (named.length === 0 || named.some((one) => sameIssuer(one, issuer))) {
    return discoverAuthorizationServer(issuer, request)
  }
  const listed = sanitize(named.slice(0, 5).join(', '))
  throw new OAuthError(
    'ERR_OAUTH_ISSUER_MISMATCH',
    `The resource ${sanitize(resource)} names the authorization servers ${listed}, and not the pinned ${issuer}; nothing was signed`,
  )
}

async function discoverServerAt(
  origin: string,
  request: RequestOptions,
): Promise<AuthorizationServer> {
  try {
    return await discoverAuthorizationServer(origin, request)
  } catch (error) {
    if (!OAuthError.is(error) || error.retryable) throw error
    throw new OAuthError(
      error.code,
      `The resource at ${sanitize(origin)} does not say where to get a token, and its origin is not an authorization server: ${error.message}. Pin the authorization server whose tokens it accepts with the option "issuer"`,
      { status: error.status, cause: error },
    )
  }
}

/** Whether the resource has no metadata, in contrast to metadata that cannot be used. */
function isMissing(error: unknown): boolean {
  if (!OAuthError.is(error) || error.code !== 'ERR_OAUTH_DISCOVERY') return false
  return error.status !== undefined && error.status >= 400
}
