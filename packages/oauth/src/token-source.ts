import { ownOptions } from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import { requireAdvertised, requireSecureUrl } from './authorization-server.ts'
import { bearerFetch } from './bearer-fetch.ts'
import type { ClientAuthentication, ReplaceKey } from './client-authentication.ts'
import { OAuthError } from './error.ts'
import type { Fetch } from './http.ts'
import { tokenRenewal } from './renewal.ts'
import { uniteScopes } from './scope.ts'
import { serverMetadata } from './server-metadata.ts'
import { tokenReach } from './token-reach.ts'
import { requestToken, type TokenResponse } from './token-request.ts'
import { tokenChannel } from './tracing.ts'
import { withReplacedKey } from './with-replaced-key.ts'

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
  const { issuer, clientId, authentication, resource, maxScope } = own
  const {
    grant = { grant_type: 'client_credentials' },
    timeoutSeconds = 30,
    retries = 2,
    now = Date.now,
    fetch = globalThis.fetch,
    metadataLifetimeSeconds: lifetimeSeconds = 3600,
  } = own
  requireString(issuer, 'issuer')
  requireString(clientId, 'clientId')
  if (typeof authentication !== 'function')
    throw new TypeError('"authentication" must be a function')
  if (typeof timeoutSeconds !== 'number' || !(timeoutSeconds > 0 && timeoutSeconds <= 600)) {
    throw new TypeError('"timeoutSeconds" must be a number above 0 and up to 600')
  }
  if (!(Number.isInteger(retries) && retries >= 0 && retries <= 10)) {
    throw new TypeError('"retries" must be a whole number from 0 to 10')
  }
  if (typeof lifetimeSeconds !== 'number' || !(lifetimeSeconds > 0)) {
    throw new TypeError('"metadataLifetimeSeconds" must be a number above 0')
  }
  if (maxScope !== undefined && typeof maxScope !== 'string') {
    throw new TypeError('"maxScope" must be a string of scope values, separated by spaces')
  }
  const resourceUrl = resource === undefined ? undefined : requireSecureUrl(resource, 'resource')
  const server = serverMetadata({ issuer, metadata: own.metadata, lifetimeSeconds, fetch, now })

  const renewal = tokenRenewal({
    scope: uniteScopes(own.scope),
    maxScope,
    retries,
    timeoutSeconds,
    now,
    async ask(scope, signal) {
      const as = await server.read(signal)
      requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: as.issuer })
      // Here already, because a grant may be signed, too.
      const { method, alg } = authentication
      if (method !== undefined) requireAdvertised(as, method, alg)
      const request = async (onReplaceable: (replace: ReplaceKey) => void) => {
        const granted = typeof grant === 'function' ? await grant(as) : grant
        const parameters = new URLSearchParams(granted)
        if (scope !== undefined) parameters.set('scope', scope)
        if (resource !== undefined) parameters.set('resource', resource)
        const by = { as, issuer, clientId, authentication, fetch, now }
        return requestToken({ ...by, parameters, signal, onReplaceable })
      }
      try {
        return await withReplacedKey(request, signal)
      } catch (error) {
        // A token endpoint that is none may have moved.
        if (OAuthError.is(error) && error.code === 'ERR_OAUTH_INVALID_RESPONSE') server.forget()
        throw error
      }
    },
    report(background, durationSeconds, failure) {
      if (!tokenChannel.hasSubscribers) return
      const code = (failure as { readonly code?: string } | undefined)?.code
      const outcome = failure === undefined ? 'granted' : 'failed'
      const message = { issuer, clientId, background, durationSeconds, outcome }
      tokenChannel.publish(code === undefined ? message : { ...message, code })
    },
  })
  if (own.tokenResponse !== undefined) renewal.adopt(own.tokenResponse)

  const authorized =
    resourceUrl &&
    bearerFetch({ fetch, renewal, covers: tokenReach(resourceUrl, server.tokenEndpoint) })

  return Object.freeze({
    async token({ signal }: TokenOptions = {}) {
      return (await renewal.current(signal)).response.access_token
    },
    async tokenResponse({ signal }: TokenOptions = {}) {
      const { response, secondsLeft } = await renewal.current(signal)
      if (secondsLeft() === Number.POSITIVE_INFINITY) return response
      return { ...response, expires_in: Math.floor(secondsLeft()) }
    },
    invalidate: renewal.invalidate,
    async fetch(input: string | URL | Request, init?: RequestInit) {
      if (authorized !== undefined) return authorized(input, init)
      throw new TypeError('"fetch" needs the option "resource": it says where the token may go')
    },
  })
}

function requireString(value: unknown, option: string): void {
  if (typeof value !== 'string' || value === '') {
    throw new TypeError(`"${option}" must be a non-empty string`)
  }
}
