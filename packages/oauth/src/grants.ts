import { ownOptions, requireString } from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import { type ClientAuthentication, clientAuthentication } from './client-authentication.ts'
import { OAuthError } from './errors.ts'
import { isCompactJwt, jwtClaims } from './jwt.ts'
import { requireAudience } from './server-checks.ts'
import type { Grant, GrantRequest } from './token-source.ts'

/**
 * Returns a token, such as a JWT of the platform or of a user's session. It is called for each request with the metadata
 * of the authorization server that gets the token; the token is not stored.
 */
export type TokenProvider = (
  as: AuthorizationServer,
  request: GrantRequest,
) => string | Promise<string>

/**
 * The grant that exchanges a JWT for an access token.
 *
 * The authorization server decides which audience the JWT must have. Where an MCP server has named the authorization
 * server and no issuer is pinned, only a JWT for that authorization server is sent.
 *
 * @param assertion - called for each token request; returns the JWT in compact serialization. `authorizationGrant` of
 *   `@countersign/core` makes one with a signer, and {@link workloadIdentity} uses that of a platform.
 * @returns a grant for `tokenSource`. It throws an {@link OAuthError} `ERR_OAUTH_ASSERTION` when `assertion` does not
 *   return a signed JWT, `ERR_OAUTH_AUDIENCE` when the JWT is for another server and no issuer is pinned, and whatever
 *   `assertion` throws.
 * @throws `TypeError` when `assertion` is not a function.
 *
 * @example
 * ```ts
 * import { authorizationGrant, type Signer } from '@countersign/core'
 * import { jwtBearer, publicClient, tokenSource } from '@countersign/oauth'
 *
 * declare const signer: Signer
 *
 * const source = tokenSource({
 *   issuer: 'https://as.example.com',
 *   clientId: 'billing-agent',
 *   authentication: publicClient(),
 *   grant: jwtBearer(({ issuer: audience }) =>
 *     authorizationGrant(signer, { issuer: 'billing-agent', subject: 'alice', audience }),
 *   ),
 * })
 * ```
 *
 * @see [RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)
 */
export function jwtBearer(assertion: TokenProvider): Grant {
  requireProvider(assertion, 'the first argument')
  return async (as, request) => {
    const jwt = await providedToken(assertion, as, request)
    if (!isCompactJwt(jwt)) {
      throw new OAuthError(
        'ERR_OAUTH_ASSERTION',
        'The assertion of the grant is not a signed JWT in compact serialization; nothing was sent. Fix the function that returns it',
      )
    }
    if (request.issuer === undefined) requireAudience(as, jwtClaims(jwt)['aud'])
    return jwtBearerParameters(jwt)
  }
}

/** The parameters of a token request with an assertion as grant, RFC 7523 §2.1. */
export function jwtBearerParameters(assertion: string): Readonly<Record<string, string>> {
  return { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }
}

/** Options of {@link tokenExchange}. */
export interface TokenExchangeOptions {
  /** Returns the token of the party on whose behalf the request is made; called for each token request. */
  readonly subjectToken: TokenProvider
  /** The URI of its type, such as `urn:ietf:params:oauth:token-type:id_token`. */
  readonly subjectTokenType: string
  /** Returns the token of the acting party; called for each token request. */
  readonly actorToken?: TokenProvider | undefined
  /** The URI of its type. */
  readonly actorTokenType?: string | undefined
  /** The URI of the type of the token to request; the server decides without it. */
  readonly requestedTokenType?: string | undefined
  /** The name of the service that the token is for, as the server knows it. */
  readonly audience?: string | undefined
}

/**
 * The grant that exchanges one token for another.
 *
 * @param options - the token of the subject and its type, that of an actor, and what to request.
 * @returns a grant for `tokenSource`. It throws what the functions throw.
 * @throws `TypeError` when an option is not of its type, or one of `actorToken` and `actorTokenType` is missing.
 *
 * @example
 * ```ts
 * import type { Signer } from '@countersign/core'
 * import { privateKeyJwt, tokenExchange, tokenSource } from '@countersign/oauth'
 *
 * declare const signer: Signer
 * declare const userToken: () => Promise<string>
 *
 * const source = tokenSource({
 *   issuer: 'https://as.example.com',
 *   clientId: 'billing-agent',
 *   authentication: privateKeyJwt(signer),
 *   grant: tokenExchange({
 *     subjectToken: userToken,
 *     subjectTokenType: 'urn:ietf:params:oauth:token-type:access_token',
 *   }),
 * })
 * ```
 *
 * @see [RFC 8693 §2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)
 */
export function tokenExchange(options: TokenExchangeOptions): Grant {
  const own = ownOptions(options)
  const { subjectToken, subjectTokenType, actorToken, actorTokenType } = own
  const { requestedTokenType, audience } = own
  requireProvider(subjectToken, '"subjectToken"')
  requireString(subjectTokenType, 'subjectTokenType')
  if (requestedTokenType !== undefined) requireString(requestedTokenType, 'requestedTokenType')
  if (audience !== undefined) requireString(audience, 'audience')
  if (actorToken !== undefined || actorTokenType !== undefined) {
    requireProvider(actorToken, '"actorToken"')
    requireString(actorTokenType, 'actorTokenType')
  }
  return async (as, request) => ({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await providedToken(subjectToken, as, request),
    subject_token_type: subjectTokenType,
    ...(actorToken && { actor_token: await providedToken(actorToken, as, request) }),
    ...(actorTokenType && { actor_token_type: actorTokenType }),
    ...(requestedTokenType && { requested_token_type: requestedTokenType }),
    ...(audience && { audience }),
  })
}

/**
 * Sends the client identifier without a credential: for a grant such as {@link jwtBearer}, whose assertion proves
 * enough. It is refused by servers that do not list the method `none`.
 *
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}.
 *
 * @example
 * ```ts
 * import { publicClient } from '@countersign/oauth'
 *
 * const authentication = publicClient()
 * ```
 *
 * @see [RFC 6749 §2.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.1)
 */
export function publicClient(): ClientAuthentication {
  return clientAuthentication('none', async ({ client, body }) => {
    body.set('client_id', client.client_id)
  })
}

/** Refuses a value that is not a function. */
export function requireProvider(value: unknown, what: string): asserts value is TokenProvider {
  if (typeof value !== 'function') {
    throw new TypeError(`${what} must be a function that returns the token`)
  }
}

/** The token of the caller's function, without the line break at the end of a file. */
export async function providedToken(
  provide: TokenProvider,
  as: AuthorizationServer,
  request: GrantRequest,
): Promise<string> {
  const token: unknown = await provide(as, request)
  if (typeof token === 'string' && token.trim() !== '') return token.trim()
  throw new OAuthError(
    'ERR_OAUTH_ASSERTION',
    'The function that returns the token of the grant did not return a non-empty string; nothing was sent',
  )
}
