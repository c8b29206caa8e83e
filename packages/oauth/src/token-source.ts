import { ownOptions, requireString, requireTimeout } from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import { authorizedFetch, resourceMatcher } from './authorized-fetch.ts'
import type { ClientAuthentication } from './client-authentication.ts'
import { discoverAuthorizationServer } from './discovery.ts'
import { OAuthError } from './errors.ts'
import type { Fetch } from './http.ts'
import { uniteScopes } from './scope.ts'
import { requireIssuer, requireSecureUrl } from './server-checks.ts'
import { stopwatch, tokenCache } from './token-cache.ts'
import { requestToken, type TokenResponse } from './token-request.ts'

/**
 * The parameters of an access token request, `grant_type` among them, or a function that makes them anew
 * for each request; RFC 6749 §4.5.
 */
export type Grant =
  | Readonly<Record<string, string>>
  | ((as: AuthorizationServer) => Promise<Readonly<Record<string, string>>>)

/** Options of {@link tokenSource}. */
export interface TokenSourceOptions {
  /** The authorization server's issuer identifier; metadata of any other issuer is refused. */
  readonly issuer: string
  /** The client identifier. */
  readonly clientId: string
  /** How the client proves who it is. */
  readonly authentication: ClientAuthentication
  /** What to ask with; `{ grant_type: 'client_credentials' }` by default. */
  readonly grant?: Grant | undefined
  /** Space-separated scope values to ask for. */
  readonly scope?: string | undefined
  /**
   * Space-separated scope values that the resource may ask for in a challenge; all by default. Tokens with more than 100
   * values or 4,096 octets of scope are never asked for because of a challenge.
   */
  readonly maxScope?: string | undefined
  /** The resource that the token is for, RFC 8707; `fetch` attaches the token to nothing else. */
  readonly resource?: string | undefined
  /** The server's metadata when it is known already; it is discovered when this is left out, or has become old. */
  readonly metadata?: AuthorizationServer | undefined
  /** How long metadata is kept before it is discovered anew; 3600 by default. */
  readonly metadataLifetimeSeconds?: number | undefined
  /** A token that was obtained already, to start with. */
  readonly tokenResponse?: TokenResponse | undefined
  /** Bound on one renewal: discovery, signature and all attempts; 30 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Further attempts when the server cannot be reached, or answers 429 or 5xx, while somebody waits; 2 by default. */
  readonly retries?: number | undefined
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** Options of the methods of {@link TokenSource}. */
export interface TokenOptions {
  /** Gives up waiting; the promise rejects with `signal.reason`, and other callers are not affected. */
  readonly signal?: AbortSignal | undefined
}

/** One access token, always a good one. */
export interface TokenSource {
  /** The access token. It is handed out at once while it is good, and renewed in the background near its end. */
  token(options?: TokenOptions): Promise<string>
  /** The whole token response; `expires_in` is what is left of it in whole seconds. */
  tokenResponse(options?: TokenOptions): Promise<TokenResponse>
  /** Forgets a token that was refused; does nothing if another has taken its place. */
  invalidate(token: string): void
  /**
   * A `fetch` that attaches the token to requests to the resource, its origin and path, and to no others,
   * redirects included. A 401, or a 403 for insufficient scope, is answered once with a renewal that all callers
   * share, if the body can be sent again; else the response comes back as it is, and so does that of a resource that
   * refused the renewed token, too, only just now.
   */
  readonly fetch: Fetch
}

/**
 * Makes a source of access tokens for one client at one authorization server.
 *
 * Nothing is requested before the first token is asked for. Each token request is authenticated anew. A token is
 * renewed in the background during the last fifth of its life, at most five minutes; callers that have to wait
 * share one renewal. No timer keeps the process alive.
 *
 * @param options - issuer, client, authentication; scope and resource.
 * @returns the source. Its methods throw an {@link OAuthError} when the server is refused or refuses, and a
 *   `SignerError` when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import type { Signer } from '@countersign/core'
 * import { privateKeyJwt, tokenSource } from '@countersign/oauth'
 *
 * declare const signer: Signer
 *
 * const source = tokenSource({
 *   issuer: 'https://as.example.com',
 *   clientId: 'billing-agent',
 *   authentication: privateKeyJwt(signer),
 *   resource: 'https://api.example.com/invoices',
 * })
 * const response = await source.fetch('https://api.example.com/invoices/42')
 * ```
 *
 * @see [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)
 */
export function tokenSource(options: TokenSourceOptions): TokenSource {
  const own = ownOptions(options)
  const { issuer, clientId, authentication, resource, maxScope, tokenResponse } = own
  const {
    grant = { grant_type: 'client_credentials' },
    timeoutSeconds = 30,
    retries = 2,
    now = Date.now,
    fetch = globalThis.fetch,
    metadataLifetimeSeconds = 3600,
  } = own
  requireString(issuer, 'issuer')
  requireString(clientId, 'clientId')
  if (typeof authentication !== 'function')
    throw new TypeError('"authentication" must be a function')
  requireTimeout(timeoutSeconds)
  if (!(Number.isInteger(retries) && retries >= 0 && retries <= 10)) {
    throw new TypeError('"retries" must be a whole number from 0 to 10')
  }
  if (typeof metadataLifetimeSeconds !== 'number' || !(metadataLifetimeSeconds > 0)) {
    throw new TypeError('"metadataLifetimeSeconds" must be a number above 0')
  }
  if (maxScope !== undefined && typeof maxScope !== 'string') {
    throw new TypeError('"maxScope" must be a string of scope values, separated by spaces')
  }
  const resourceUrl = resource === undefined ? undefined : requireSecureUrl(resource, 'resource')
  const metadata = metadataCache({
    ...{ issuer, fetch, now },
    given: own.metadata,
    lifetimeMs: metadataLifetimeSeconds * 1000,
  })

  const cache = tokenCache({
    ...{ issuer, clientId, tokenResponse, maxScope, retries, timeoutSeconds, now },
    scope: uniteScopes(own.scope),
    async request(scope, signal) {
      const as = await metadata.get(signal)
      const parameters = async () => {
        const granted = typeof grant === 'function' ? await grant(as) : grant
        const body = new URLSearchParams(granted)
        if (scope !== undefined) body.set('scope', scope)
        if (resource !== undefined) body.set('resource', resource)
        return body
      }
      try {
        const request = { as, issuer, clientId, authentication, parameters, fetch, signal, now }
        return await requestToken(request)
      } catch (error) {
        // The token endpoint may have moved.
        if (OAuthError.is(error) && error.code === 'ERR_OAUTH_INVALID_RESPONSE') metadata.expire()
        throw error
      }
    },
  })

  const authorized =
    resourceUrl &&
    authorizedFetch({
      ...{ fetch, cache },
      matches: resourceMatcher(resourceUrl, metadata.tokenEndpoint),
    })

  return Object.freeze({
    async token({ signal }: TokenOptions = {}) {
      return (await cache.get(signal)).response.access_token
    },
    async tokenResponse({ signal }: TokenOptions = {}) {
      const { response, secondsLeft } = await cache.get(signal)
      if (secondsLeft() === Number.POSITIVE_INFINITY) return response
      return { ...response, expires_in: Math.floor(secondsLeft()) }
    },
    invalidate: cache.invalidate,
    async fetch(input: string | URL | Request, init?: RequestInit) {
      if (authorized !== undefined) return authorized(input, init)
      throw new TypeError(
        '"fetch" needs the option "resource", the URL of the resource that the token is for',
      )
    },
  })
}

interface MetadataCache {
  get(signal: AbortSignal): Promise<AuthorizationServer>
  /** Discovers the metadata again at the next use. */
  expire(): void
  /** The token endpoint as far as it is known. */
  tokenEndpoint(): string | undefined
}

/** Caches the authorization server's metadata, whether it was given or discovered. */
function metadataCache(settings: {
  readonly issuer: string
  readonly given: AuthorizationServer | undefined
  readonly lifetimeMs: number
  readonly fetch: Fetch
  readonly now: () => number
}): MetadataCache {
  const { issuer, given, lifetimeMs, fetch, now } = settings
  if (given !== undefined) requireIssuer(given, issuer)
  let cached = given
  let age = stopwatch(now)
  let expired = false

  async function discover(signal: AbortSignal): Promise<AuthorizationServer> {
    try {
      return await discoverAuthorizationServer(issuer, { fetch, signal })
    } catch (error) {
      // The caller may have given the metadata because the server publishes none.
      const isMissing = OAuthError.is(error) && error.code === 'ERR_OAUTH_DISCOVERY'
      if (given !== undefined && isMissing) return given
      throw error
    }
  }

  return {
    async get(signal) {
      if (cached === undefined || expired || age() >= lifetimeMs) {
        cached = await discover(signal)
        age = stopwatch(now)
        expired = false
      }
      return cached
    },
    expire() {
      expired = true
    },
    tokenEndpoint: () => cached?.token_endpoint,
  }
}
