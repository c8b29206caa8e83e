import {
  type AuthorizationServer,
  allowInsecureRequests,
  customFetch,
  discoveryRequest,
  processDiscoveryResponse,
} from 'oauth4webapi'
import { requireIssuer, requireSecureUrl } from './authorization-server.ts'
import { OAuthError } from './error.ts'
import { boundedFetch, describeFetchError, type Fetch } from './http.ts'

/** Options of {@link discoverAuthorizationServer}. */
export interface DiscoveryOptions {
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /** Gives up waiting. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Fetches the metadata of an authorization server, and makes sure that it speaks for the issuer that was asked.
 *
 * RFC 8414's well-known location is tried first, OpenID Connect's second.
 *
 * @param issuer - the issuer identifier, an https URL, or an http one on loopback.
 * @param options - the `fetch` to use, and a signal.
 * @returns the metadata as it was published.
 * @throws {@link OAuthError} `ERR_OAUTH_INSECURE_ENDPOINT` for a URL that is neither https nor on loopback,
 *   `ERR_OAUTH_ISSUER_MISMATCH` when the metadata is another issuer's, `ERR_OAUTH_DISCOVERY` when there is none,
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
  { fetch = globalThis.fetch, signal = new AbortController().signal }: DiscoveryOptions = {},
): Promise<AuthorizationServer> {
  const url = requireSecureUrl(issuer, 'issuer')
  const options = {
    signal,
    [customFetch]: boundedFetch(fetch),
    [allowInsecureRequests]: url.protocol === 'http:',
  }
  let refused: number | undefined
  for (const algorithm of ['oauth2', 'oidc'] as const) {
    const response = await discoveryRequest(url, { ...options, algorithm }).catch((error) => {
      throw describeFetchError(error, signal, `authorization server ${url.origin}`)
    })
    if (response.status === 200) return readMetadata(response, issuer)
    if (response.status >= 500 || response.status === 429) {
      throw new OAuthError(
        'ERR_OAUTH_UNAVAILABLE',
        `The metadata of ${issuer} was answered with HTTP status ${response.status}`,
        { status: response.status },
      )
    }
    refused = response.status
  }
  throw new OAuthError(
    'ERR_OAUTH_DISCOVERY',
    `${issuer} publishes no metadata: the well-known locations of RFC 8414 and OpenID Connect answered with HTTP status ${refused}; check the issuer`,
    { status: refused },
  )
}

async function readMetadata(response: Response, issuer: string): Promise<AuthorizationServer> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  const stated = (body as AuthorizationServer | undefined)?.issuer
  if (typeof stated === 'string') requireIssuer({ issuer: stated }, issuer)
  try {
    return await processDiscoveryResponse(new URL(issuer), response)
  } catch (cause) {
    throw new OAuthError(
      'ERR_OAUTH_DISCOVERY',
      `What ${issuer} publishes at its well-known location is not authorization server metadata`,
      { cause },
    )
  }
}
