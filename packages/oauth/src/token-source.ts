import type { Signer } from '@countersign/core'
import { ownOptions, requireString, requireTimeout, stopwatch } from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import { authorizedFetch, resourceMatcher } from './authorized-fetch.ts'
import type { ClientAuthentication } from './client-authentication.ts'
import { discoverAuthorizationServer } from './discovery.ts'
import { type DpopOptions, readDpop, requireTokenType } from './dpop.ts'
import { OAuthError } from './errors.ts'
import type { Fetch } from './http.ts'
import { uniteScopes } from './scope.ts'
import { requireIssuer, requireSecureUrl } from './server-checks.ts'
import { tokenCache } from './token-cache.ts'
import { requestToken, type TokenResponse } from './token-request.ts'

/**
 * The parameters of an access token request, with `grant_type`, or a function that makes them for each request;
 * RFC 6749 §4.5.
 */
export type Grant =
  | Readonly<Record<string, string>>
  | ((as: AuthorizationServer, request: GrantRequest) => Promise<Readonly<Record<string, string>>>)

/** The token request that a {@link Grant} makes the parameters of. */
export interface GrantRequest {
  /** The client identifier. */
  readonly clientId: string
  /**
   * The issuer that the caller pinned; `undefined` where an MCP server named the authorization server. Without a pin, an
   * assertion for another server must not be sent.
   */
  readonly issuer: string | undefined
  /** The scope and the resource that are requested; they are added to the parameters. */
  readonly scope: string | undefined
  readonly resource: string | undefined
  /** Sends requests to other servers. */
  readonly fetch: Fetch
  /** Aborts at the deadline of the renewal. */
  readonly signal: AbortSignal
  /** The clock, in milliseconds since the epoch. */
  readonly now: () => number
}

/** Options of {@link tokenSource}. */
export interface TokenSourceOptions {
  /** The authorization server's issuer identifier; metadata of any other issuer is refused. */
  readonly issuer: string
  /** The client identifier. */
  readonly clientId: string
  /** How the client authenticates itself. */
  readonly authentication: ClientAuthentication
  /** The grant of the token request; `{ grant_type: 'client_credentials' }` by default. */
  readonly grant?: Grant | undefined
  /**
   * Binds the token to a key, so that it is of no use without the key: `true` for a new key in memory, or the signer of
   * the proofs. A bearer token is then refused, unless `dpop.required` is `false`. By default, bearer tokens are used.
   *
   * @see [RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)
   */
  readonly dpop?: boolean | Signer | DpopOptions | undefined
  /** The scope to request: values separated by spaces. */
  readonly scope?: string | undefined
  /**
   * The scope values that the resource may ask for in a challenge, separated by spaces; all by default. No challenge
   * widens the scope beyond 100 values or 4,096 octets.
   */
  readonly maxScope?: string | undefined
  /** The resource that the token is for, RFC 8707; `fetch` sends the token to no other URL. */
  readonly resource?: string | undefined
  /** The server's metadata; discovered when it is left out, and after its lifetime. */
  readonly metadata?: AuthorizationServer | undefined
  /** How long metadata is cached before it is discovered again; 3600 by default. */
  readonly metadataLifetimeSeconds?: number | undefined
  /** A token that was obtained before, to start with. */
  readonly tokenResponse?: TokenResponse | undefined
  /** Bound on one renewal: discovery, signature and all attempts; 30 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Further attempts when the server cannot be reached, or answers 429 or 5xx, while a caller waits; 2 by default. */
  readonly retries?: number | undefined
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** Options of the methods of {@link TokenSource}. */
export interface TokenOptions {
  /** Stops waiting; the promise rejects with `signal.reason`, and other callers are not affected. */
  readonly signal?: AbortSignal | undefined
}

/** A source of one access token, which it renews. */
export interface TokenSource {
  /** Returns the cached access token, or waits for a new one. The token is renewed in the background before it expires. */
  token(options?: TokenOptions): Promise<string>
  /** Returns the whole token response; `expires_in` is the whole seconds that are left. */
  tokenResponse(options?: TokenOptions): Promise<TokenResponse>
  /** Removes a refused token from the cache; does nothing if another one has replaced it. */
  invalidate(token: string): void
  /**
   * A `fetch` that attaches the token to requests to the resource, its origin and path, and to no others,
   * redirects included. A URL whose path servers may read in different ways gets no token even if it is harmless, such
   * as `/projects/a%2Fb`.
   *
   * After a 401, or a 403 for insufficient scope, the token is renewed once for all callers and the request is sent
   * again. A token that is bound to a key goes with a proof for each request, and the request is sent again if the
   * resource asks for a nonce in the proof. The caller gets the refusing response if the body cannot be sent again, or if the resource refused a renewed
   * token as well a moment ago.
   */
  readonly fetch: Fetch
}

/**
 * Makes a source of access tokens for one client at one authorization server.
 *
 * It sends no request before the first call of a method. Each token request, retries included, has its own client
 * authentication. A token is renewed in the background in the last fifth of its lifetime, at most five minutes; callers
 * that have to wait share one renewal. No timer keeps the process alive, except the delay before a retry for which a
 * caller waits.
 *
 * @param options - the issuer, the client and its authentication, and the scope and resource of the token.
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
  const dpop = readDpop(own.dpop, now)
  if (tokenResponse !== undefined) requireTokenType(issuer, tokenResponse.token_type, dpop)
  const lifetimeMs = metadataLifetimeSeconds * 1000
  const metadata = metadataCache({ issuer, given: own.metadata, lifetimeMs, fetch, now })

  const cache = tokenCache({
    issuer,
    clientId,
    tokenResponse,
    scope: uniteScopes(own.scope),
    maxScope,
    retries,
    timeoutSeconds,
    now,
    async request(scope, signal) {
      const as = await metadata.get(signal)
      const parameters = async () => {
        const target = { clientId, issuer, scope, resource, fetch, signal, now }
        const granted = typeof grant === 'function' ? await grant(as, target) : grant
        const body = new URLSearchParams(granted)
        if (scope !== undefined) body.set('scope', scope)
        if (resource !== undefined) body.set('resource', resource)
        return body
      }
      try {
        const client = { issuer, clientId, authentication, dpop }
        return await requestToken({ as, ...client, parameters, fetch, signal, now })
      } catch (error) {
        // The token endpoint may have moved.
        if (OAuthError.is(error) && error.code === 'ERR_OAUTH_INVALID_RESPONSE') metadata.expire()
        throw error
      }
    },
  })

  const matches = resourceUrl && resourceMatcher(resourceUrl, metadata.tokenEndpoint)
  const authorized = matches && authorizedFetch({ fetch, cache, matches, session: dpop?.session })

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

/** The metadata of one authorization server. */
export interface MetadataCache {
  get(signal: AbortSignal): Promise<AuthorizationServer>
  /** Discovers the metadata again at the next use. */
  expire(): void
  /** The token endpoint as far as it is known. */
  tokenEndpoint(): string | undefined
}

/** Caches the authorization server's metadata, whether it was given or discovered. */
export function metadataCache(settings: {
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
