import { sanitize, timeoutSignal } from '@countersign/core/backend'
import { type AuthorizationServer, processDiscoveryResponse } from 'oauth4webapi'
import { requireIssuer, requireReachable, requireSecureUrl } from './authorization-server.ts'
import { OAuthError } from './error.ts'
import { type Fetch, requestMetadata, retryAfterSeconds } from './http.ts'

/** Options of {@link discoverAuthorizationServer}. */
export interface DiscoveryOptions {
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /**
   * Gives up waiting; the promise rejects with `signal.reason`, or `ERR_OAUTH_TIMEOUT` for an `AbortSignal.timeout()`.
   * `AbortSignal.timeout(30_000)` by default.
   */
  readonly signal?: AbortSignal | undefined
}

/** The deadline of a discovery without a signal. */
export const discoverySeconds = 30

/**
 * Fetches the metadata of an authorization server, and makes sure that it speaks for the issuer that was asked.
 *
 * RFC 8414's well-known location is tried first, then those of OpenID Connect.
 *
 * @param issuer - the issuer identifier, an https URL, or an http one on loopback.
 * @param options - the `fetch` to use, and a signal.
 * @returns the metadata as it was published.
 * @throws {@link OAuthError} `ERR_OAUTH_INSECURE_ENDPOINT` for a URL that is neither https nor on loopback, or metadata
 *   of another machine that names an endpoint on loopback, `ERR_OAUTH_ISSUER_MISMATCH` when the metadata is another issuer's, `ERR_OAUTH_DISCOVERY` when there is none,
 *   `ERR_OAUTH_UNAVAILABLE` when the server cannot be reached or fails.
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
  { fetch = globalThis.fetch, signal = timeoutSignal(discoverySeconds) }: DiscoveryOptions = {},
): Promise<AuthorizationServer> {
  const url = requireSecureUrl(issuer, 'issuer')
  let refused: number | undefined
  for (const location of wellKnownLocations(url)) {
    const response = await requestMetadata(fetch, location, signal)
    const { status } = response
    if (status === 200) return readMetadata(response, issuer)
    if (status >= 500 || status === 429) {
      throw new OAuthError(
        'ERR_OAUTH_UNAVAILABLE',
        `The metadata of ${sanitize(issuer)} was answered with HTTP status ${status}`,
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

/** RFC 8414 §3.1 inserts before the issuer's path, and OpenID Connect's own name may be there too; §5 of it. */
function wellKnownLocations(issuer: URL): URL[] {
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

async function readMetadata(response: Response, issuer: string): Promise<AuthorizationServer> {
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
    // Not kept as the cause: it holds all that the server sent.
    const why = error instanceof Error ? error.message : 'it cannot be read'
    throw new OAuthError(
      'ERR_OAUTH_DISCOVERY',
      `What ${sanitize(issuer)} publishes at its well-known location is not authorization server metadata: ${sanitize(why)}`,
    )
  }
  for (const [member, value] of Object.entries(metadata)) {
    if (!/_endpoint$|_uri$/.test(member) || typeof value !== 'string') continue
    if (URL.canParse(value)) requireReachable(new URL(value), member.replaceAll('_', ' '), issuer)
  }
  return metadata
}
