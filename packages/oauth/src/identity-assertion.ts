import { ownOptions, requireString, sanitize, sanitizeValue } from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import { OAuthError, type OAuthErrorCode } from './errors.ts'
import {
  jwtBearerParameters,
  providedToken,
  requireProvider,
  type TokenProvider,
} from './grants.ts'
import { isCompactJwt, jwtClaims, jwtHeader } from './jwt.ts'
import { requireIssuer, sameIssuer } from './server-checks.ts'
import { requestToken, type TokenResponse } from './token-request.ts'
import {
  type Grant,
  type GrantRequest,
  type MetadataCache,
  metadataCache,
  type TokenSourceOptions,
} from './token-source.ts'

/** The identity provider of {@link identityAssertion}, and the client there: as the options of `tokenSource`. */
export type IdentityProvider = Pick<
  TokenSourceOptions,
  'issuer' | 'clientId' | 'authentication' | 'metadata' | 'metadataLifetimeSeconds'
>

/** Options of {@link identityAssertion}. */
export interface IdentityAssertionOptions {
  /**
   * The identity provider that users sign in to, and the client that they sign in to, which may have another identifier
   * and another authentication than at the authorization server of the resource.
   */
  readonly idp: IdentityProvider
  /**
   * Returns the token of the signed-in user, whose audience is the client at the identity provider. Called for each
   * request; the token is sent to the identity provider only, and is not stored.
   */
  readonly subjectToken: TokenProvider
  /** The URI of its type; that of an ID token by default. SAML assertions and refresh tokens have other ones. */
  readonly subjectTokenType?: string | undefined
}

/** The type of a token, RFC 8693 §3. */
const idJag = 'urn:ietf:params:oauth:token-type:id-jag'

/**
 * The grant of enterprise-managed authorization: an identity provider decides, without an interaction of the user, that
 * the client may act for the user at another authorization server.
 *
 * For each token request, the user's token is exchanged for an identity assertion (ID-JAG) at the identity provider, and
 * the assertion is the grant at the authorization server of the resource. The client authenticates at both. The requests
 * share the deadline, the attempts and the delays of the renewal. The assertion is sent only if it is of the identity
 * provider, and for this authorization server, client and resource. Its signature is not verified: this is the
 * authorization server's part.
 *
 * @param options - the identity provider with the client there, and the user's token.
 * @returns a grant for `tokenSource`, which needs the option `resource` if the authorization server has more than one
 *   resource. It throws an {@link OAuthError} when the identity provider is refused or refuses;
 *   `ERR_OAUTH_INVALID_RESPONSE` when its answer is not an ID-JAG; `ERR_OAUTH_AUDIENCE` when the ID-JAG is for another
 *   authorization server, `ERR_OAUTH_RESOURCE_MISMATCH` for another resource, `ERR_OAUTH_ASSERTION` for another client,
 *   and `ERR_OAUTH_ISSUER_MISMATCH` of another issuer; and whatever `subjectToken` throws.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import type { Signer } from '@countersign/core'
 * import { identityAssertion, privateKeyJwt, tokenSource } from '@countersign/oauth'
 *
 * declare const signer: Signer
 * declare const idToken: () => Promise<string>
 *
 * const source = tokenSource({
 *   issuer: 'https://as.example.com',
 *   clientId: 'agent-at-as',
 *   authentication: privateKeyJwt(signer),
 *   resource: 'https://mcp.example.com/mcp',
 *   grant: identityAssertion({
 *     idp: {
 *       issuer: 'https://idp.example.org',
 *       clientId: 'agent-at-idp',
 *       authentication: privateKeyJwt(signer),
 *     },
 *     subjectToken: idToken,
 *   }),
 * })
 * ```
 *
 * @see [Identity Assertion JWT Authorization Grant](https://datatracker.ietf.org/doc/draft-ietf-oauth-identity-assertion-authz-grant/)
 */
export function identityAssertion(options: IdentityAssertionOptions): Grant {
  const own = ownOptions(options)
  const { subjectToken, subjectTokenType = 'urn:ietf:params:oauth:token-type:id_token' } = own
  const idp = readIdp(own.idp)
  requireProvider(subjectToken, '"subjectToken"')
  requireString(subjectTokenType, 'subjectTokenType')
  let metadata: MetadataCache | undefined

  return async (as, request) => {
    const { resource, scope, fetch, signal, now } = request
    metadata ??= metadataCache({ ...idp, fetch, now })
    try {
      const server = await metadata.get(signal)
      const { issuer, clientId, authentication } = idp
      const parameters = async () => {
        const self = { ...request, issuer, clientId }
        const body = new URLSearchParams({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          requested_token_type: idJag,
          audience: as.issuer,
          subject_token: await providedToken(subjectToken, server, self),
          subject_token_type: subjectTokenType,
        })
        if (scope !== undefined) body.set('scope', scope)
        if (resource !== undefined) body.set('resource', resource)
        return body
      }
      const client = { issuer, clientId, authentication, dpop: undefined }
      const wanted = { as: server, tokenType: 'n_a', parameters } as const
      const response = await requestToken({ ...client, ...wanted, fetch, signal, now })
      const assertion = requireIdJag(response, issuer)
      requireIntended(jwtClaims(assertion), issuer, as, request)
      return jwtBearerParameters(assertion)
    } catch (error) {
      // The token endpoint may have moved.
      if (OAuthError.is(error) && error.code === 'ERR_OAUTH_INVALID_RESPONSE') metadata.expire()
      throw error
    }
  }
}

interface Idp extends Pick<IdentityProvider, 'issuer' | 'clientId' | 'authentication'> {
  readonly given: AuthorizationServer | undefined
  readonly lifetimeMs: number
}

function readIdp(idp: IdentityProvider): Idp {
  if (typeof idp !== 'object' || idp === null) throw new TypeError('"idp" must be an object')
  const own = ownOptions(idp)
  const { issuer, clientId, authentication, metadata, metadataLifetimeSeconds = 3600 } = own
  requireString(issuer, 'idp.issuer')
  requireString(clientId, 'idp.clientId')
  if (typeof authentication !== 'function') {
    throw new TypeError('"idp.authentication" must be a function')
  }
  if (!(typeof metadataLifetimeSeconds === 'number' && metadataLifetimeSeconds > 0)) {
    throw new TypeError('"idp.metadataLifetimeSeconds" must be a number above 0')
  }
  if (metadata !== undefined) requireIssuer(metadata, issuer)
  const lifetimeMs = metadataLifetimeSeconds * 1000
  return { issuer, clientId, authentication, given: metadata, lifetimeMs }
}

/** The ID-JAG in the answer to the token exchange. */
function requireIdJag(response: TokenResponse, issuer: string): string {
  const { access_token: assertion, token_type, issued_token_type: issued } = response
  const from = `The identity provider ${sanitize(issuer)} answered the token exchange with`
  if (issued !== idJag || token_type !== 'n_a') {
    throw new OAuthError(
      'ERR_OAUTH_INVALID_RESPONSE',
      `${from} "issued_token_type" ${sanitizeValue(issued)} and "token_type" ${sanitizeValue(token_type)} in place of ${idJag} and "N_A"; nothing was sent to the authorization server`,
    )
  }
  const typ = isCompactJwt(assertion) ? jwtHeader(assertion)['typ'] : 'not a JWT'
  // RFC 7515 §4.1.9: a media type, whose case does not matter, and whose prefix may be left out.
  if (
    String(typ)
      .toLowerCase()
      .replace(/^application\//, '') === 'oauth-id-jag+jwt'
  ) {
    return assertion
  }
  throw new OAuthError(
    'ERR_OAUTH_INVALID_RESPONSE',
    `${from} a token whose "typ" is ${sanitizeValue(typ)} in place of "oauth-id-jag+jwt"; nothing was sent to the authorization server`,
  )
}

/** Refuses an ID-JAG of another issuer, or one for another server, client or resource than those of the request. */
function requireIntended(
  claims: Readonly<Record<string, unknown>>,
  issuer: string,
  as: AuthorizationServer,
  { clientId, resource }: GrantRequest,
): void {
  const { iss, aud, client_id } = claims as Record<'iss' | 'aud' | 'client_id', unknown>
  const refuse = (code: OAuthErrorCode, claim: string, found: unknown, expected: string) => {
    throw new OAuthError(
      code,
      `The identity provider ${sanitize(issuer)} issued an ID-JAG whose "${claim}" is ${sanitizeValue(found)} in place of ${sanitizeValue(expected)}; it was not sent. Check how the identity provider maps this client and this authorization server`,
    )
  }
  const isOnly = (found: unknown, isExpected: (one: string) => boolean) => {
    const values: readonly unknown[] = Array.isArray(found) ? found : [found]
    return values.length > 0 && values.every((one) => typeof one === 'string' && isExpected(one))
  }
  if (typeof iss !== 'string' || !sameIssuer(iss, issuer)) {
    refuse('ERR_OAUTH_ISSUER_MISMATCH', 'iss', iss, issuer)
  }
  if (!isOnly(aud, (one) => sameIssuer(one, as.issuer))) {
    refuse('ERR_OAUTH_AUDIENCE', 'aud', aud, as.issuer)
  }
  if (client_id !== clientId) refuse('ERR_OAUTH_ASSERTION', 'client_id', client_id, clientId)
  const { resource: found } = claims as { readonly resource?: unknown }
  // The claim is optional. Without it, the resource of the token request decides.
  if (found === undefined || resource === undefined) return
  if (isOnly(found, (one) => one === resource)) return
  refuse('ERR_OAUTH_RESOURCE_MISMATCH', 'resource', found, resource)
}
