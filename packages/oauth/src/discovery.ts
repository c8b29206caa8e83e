import { sanitize, sanitizeValue, timeoutSignal, unlessAborted } from '@countersign/core/backend'
import {
  type AuthorizationServer,
  processDiscoveryResponse,
  type ResourceServer,
} from 'oauth4webapi'
import { OAuthError } from './errors.ts'
import {
  boundedFetch,
  describeFetchError,
  type Fetch,
  isTransient,
  retryAfterSeconds,
} from './http.ts'
import {
  isListOfStrings,
  isWithin,
  originOf,
  requireIssuer,
  requireReachable,
  requireSecureUrl,
} from './server-checks.ts'

/** Options of {@link discoverAuthorizationServer}. */
export interface DiscoveryOptions {
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /**
   * Stops waiting; the promise then rejects with `signal.reason`, or `ERR_OAUTH_TIMEOUT` for an `AbortSignal.timeout()`.
   * `AbortSignal.timeout(30_000)` by default.
   */
  readonly signal?: AbortSignal | undefined
}

/** Options of {@link discoverProtectedResource}. */
export interface ResourceDiscoveryOptions extends DiscoveryOptions {
  /** The metadata URL from the resource's challenge; without it, the well-known locations are tried. */
  readonly metadataUrl?: string | undefined
}

const timeoutSeconds = 30

/**
 * Fetches the metadata of an authorization server, and checks that it is the metadata of this issuer.
 *
 * The well-known location of RFC 8414 is tried first, then those of OpenID Connect.
 *
 * @param issuer - the issuer identifier, an https URL, or an http URL on loopback.
 * @param options - the `fetch` to use, and a signal.
 * @returns the metadata as it was published.
 * @throws {@link OAuthError} `ERR_OAUTH_INSECURE_ENDPOINT` for a URL that is neither https nor on loopback, or metadata
 *   of another machine that names an endpoint on loopback; `ERR_OAUTH_ISSUER_MISMATCH` when the metadata is another
 *   issuer's; `ERR_OAUTH_DISCOVERY` when there is no metadata; `ERR_OAUTH_UNAVAILABLE` when the server cannot be
 *   reached, or answers 429 or 5xx.
 *
 * @example
 * ```ts
 * import { discoverAuthorizationServer } from '@countersign/oauth'
 *
 * const as = await discoverAuthorizationServer('https://as.example.com')
 * console.log(as.token_endpoint)
 * ```
 *
 * @see [RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3)
 */
export async function discoverAuthorizationServer(
  issuer: string,
  { fetch = globalThis.fetch, signal = timeoutSignal(timeoutSeconds) }: DiscoveryOptions = {},
): Promise<AuthorizationServer> {
  const url = requireSecureUrl(issuer, 'issuer')
  let refused: number | undefined
  for (const location of serverLocations(url)) {
    const response = await requestMetadata(fetch, location, signal)
    const { status } = response
    if (status === 200) return readServerMetadata(response, issuer)
    if (isTransient(status)) {
      throw new OAuthError(
        'ERR_OAUTH_UNAVAILABLE',
        `${sanitize(issuer)} answered the request for its metadata with HTTP status ${status}`,
        { status, retryAfterSeconds: retryAfterSeconds(response, Date.now()) },
      )
    }
    refused = status
  }
  throw new OAuthError(
    'ERR_OAUTH_DISCOVERY',
    `${sanitize(issuer)} publishes no metadata: the well-known locations of RFC 8414 and OpenID Connect answered with HTTP status ${refused}; check the issuer`,
    { status: refused },
  )
}

/** RFC 8414 §3.1 inserts before the issuer's path; OpenID Connect's name may be there as well (§5), or at the end. */
function serverLocations(issuer: URL): URL[] {
  const path = issuer.pathname.replace(/\/$/, '')
  const paths = new Set([
    `/.well-known/oauth-authorization-server${path}`,
    `/.well-known/openid-configuration${path}`,
    `${path}/.well-known/openid-configuration`,
  ])
  return [...paths].map((pathname) => {
    const location = new URL(issuer)
    location.pathname = pathname
    return location
  })
}

async function readServerMetadata(
  response: Response,
  issuer: string,
): Promise<AuthorizationServer> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  const stated = (body as AuthorizationServer | undefined)?.issuer
  if (typeof stated === 'string') requireIssuer({ issuer: stated }, issuer)
  let metadata: AuthorizationServer
  try {
    metadata = await processDiscoveryResponse(new URL(issuer), response)
  } catch (error) {
    // The library's error is not the cause of this one, because it holds the whole response.
    const why = error instanceof Error ? error.message : 'it cannot be read'
    throw new OAuthError(
      'ERR_OAUTH_DISCOVERY',
      `The document at the well-known location of ${sanitize(issuer)} is not authorization server metadata: ${sanitize(why)}`,
    )
  }
  for (const [member, value] of Object.entries(metadata)) {
    if (!/_endpoint$|_uri$/.test(member) || typeof value !== 'string') continue
    if (URL.canParse(value)) requireReachable(new URL(value), member.replaceAll('_', ' '), issuer)
  }
  return metadata
}

/**
 * Fetches the metadata of a protected resource, and checks that it covers the URL that will be used.
 *
 * @param url - the URL of the resource, https, or http on loopback.
 * @param options - the metadata's location from a challenge, the `fetch` to use, and a signal.
 * @returns the metadata; its `resource` is the identifier for the token request.
 * @throws {@link OAuthError} `ERR_OAUTH_DISCOVERY` when there is no metadata; `ERR_OAUTH_RESOURCE_MISMATCH` when it is
 *   another resource's; `ERR_OAUTH_INSECURE_ENDPOINT` for a URL that is neither https nor on loopback, or a resource of
 *   another machine that names an authorization server on loopback; `ERR_OAUTH_UNAVAILABLE` when the resource cannot be
 *   reached, or answers 429 or 5xx.
 *
 * @example
 * ```ts
 * import { discoverProtectedResource } from '@countersign/oauth'
 *
 * const { resource, authorization_servers } = await discoverProtectedResource(
 *   'https://mcp.example.com/mcp',
 * )
 * ```
 *
 * @see [RFC 9728 §3](https://www.rfc-editor.org/rfc/rfc9728#section-3)
 */
export async function discoverProtectedResource(
  url: string,
  {
    metadataUrl,
    fetch = globalThis.fetch,
    signal = timeoutSignal(timeoutSeconds),
  }: ResourceDiscoveryOptions = {},
): Promise<ResourceServer> {
  const used = requireSecureUrl(url, 'resource')
  const locations =
    metadataUrl === undefined
      ? resourceLocations(used)
      : [requireSecureUrl(metadataUrl, 'resource metadata', { namedBy: used.origin })]
  let refused = 0
  let retryAfter: number | undefined
  for (const location of locations) {
    const response = await requestMetadata(fetch, location, signal)
    if (response.status === 200) return readResourceMetadata(response, used)
    // After a failure that may pass, a 404 from another location does not mean that there is no metadata.
    if (!isTransient(refused)) refused = response.status
    retryAfter ??= retryAfterSeconds(response, Date.now())
  }
  throw new OAuthError(
    isTransient(refused) ? 'ERR_OAUTH_UNAVAILABLE' : 'ERR_OAUTH_DISCOVERY',
    `${withoutQuery(used)} answered the request for its resource metadata with HTTP status ${refused}`,
    { status: refused, retryAfterSeconds: retryAfter },
  )
}

/** RFC 9728 §3.1 appends the resource's path to the well-known one; the metadata may also be that of the origin. */
function resourceLocations(used: URL): URL[] {
  const paths = new Set([used.pathname === '/' ? '' : used.pathname, ''])
  return [...paths].map((path) => {
    const location = new URL(used.origin)
    location.pathname = `/.well-known/oauth-protected-resource${path}`
    return location
  })
}

async function readResourceMetadata(response: Response, used: URL): Promise<ResourceServer> {
  const body: unknown = await response.json().catch(() => undefined)
  const metadata = (body ?? {}) as Partial<Record<keyof ResourceServer, unknown>>
  const { resource, authorization_servers: servers, scopes_supported: scopes } = metadata
  if (
    typeof resource !== 'string' ||
    !URL.canParse(resource) ||
    !(servers === undefined || isListOfStrings(servers)) ||
    !(scopes === undefined || isListOfStrings(scopes))
  ) {
    throw new OAuthError(
      'ERR_OAUTH_DISCOVERY',
      `The document at the metadata location of ${originOf(used)} is not protected resource metadata`,
    )
  }
  if (!isWithin(used, new URL(resource))) {
    throw new OAuthError(
      'ERR_OAUTH_RESOURCE_MISMATCH',
      `The metadata is that of the resource ${sanitizeValue(resource)}, which does not cover ${withoutQuery(used)}`,
    )
  }
  for (const server of servers ?? []) {
    if (!URL.canParse(server)) continue
    requireReachable(new URL(server), 'authorization server', used.origin)
  }
  return body as ResourceServer
}

function withoutQuery(url: URL): string {
  return sanitize(url.origin + url.pathname)
}

/** Requests metadata without following redirects. */
function requestMetadata(fetch: Fetch, url: URL, signal: AbortSignal): Promise<Response> {
  const headers = { accept: 'application/json' }
  const bounded = boundedFetch(fetch, 'ERR_OAUTH_DISCOVERY')
  const response = bounded(url.href, { headers, redirect: 'manual', signal })
  // The caller's `fetch` may ignore the signal.
  return unlessAborted(response, signal).catch((error) => {
    throw describeFetchError(error, signal, `metadata at ${originOf(url)}`)
  })
}
