import {
  type ClientAssertionOptions,
  clientAssertion,
  type Signer,
  type SignerSource,
} from '@countersign/core'
import { ownOptions } from '@countersign/core/backend'
import {
  type CheckedRequest,
  type ClientAuthentication,
  clientAuthentication,
} from './client-authentication.ts'
import { OAuthError } from './errors.ts'
import { isCompactJwt, jwtClaims } from './jwt.ts'
import { requireAdvertised, requireAudience } from './server-checks.ts'

/** Options of {@link privateKeyJwt}. */
export interface PrivateKeyJwtOptions
  extends Omit<ClientAssertionOptions, 'clientId' | 'audience' | 'signal'> {
  /** Pins the authorization server: metadata of another issuer is refused before anything is signed. */
  readonly issuer?: string | undefined
  /**
   * Replaces the issuer identifier as `aud`: `'token_endpoint'` for the server's token endpoint, or any string. A string
   * that is neither the issuer nor the token endpoint needs a pinned issuer.
   */
  readonly audience?: 'token_endpoint' | (string & {}) | undefined
  /** Also sends `client_id` in the body, for servers that require it; `false` by default. */
  readonly clientIdInBody?: boolean | undefined
}

/**
 * Authenticates a client by a JWT that its key signs, a new one for each request.
 *
 * Before it signs, it checks that the token endpoint is https or on loopback, that the server's metadata lists
 * `private_key_jwt` and the signer's algorithm, and that the audience is this server. With a rotating signer, it checks
 * the algorithm of the key that signs. The client is identified by the assertion's `sub`: `client_id` is not added to the
 * body unless you ask for it.
 *
 * @param source - the signer.
 * @param options - a pinned issuer, and the options of `clientAssertion` other than client and audience.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server is refused, `ERR_OAUTH_AUDIENCE` when the assertion would be for another server and
 *   no issuer is pinned, and a `SignerError` when the signer cannot sign.
 * @throws `TypeError` when `source` is not a signer.
 *
 * @example
 * ```ts
 * import * as oauth from 'oauth4webapi'
 * import type { Signer } from '@countersign/core'
 * import { privateKeyJwt } from '@countersign/oauth'
 *
 * declare const signer: Signer
 * declare const as: oauth.AuthorizationServer
 *
 * const client = { client_id: 'billing-agent' }
 * const response = await oauth.clientCredentialsGrantRequest(as, client, privateKeyJwt(signer), {})
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export function privateKeyJwt(
  source: SignerSource,
  options: PrivateKeyJwtOptions = {},
): ClientAuthentication {
  requireSource(source)
  const { issuer, audience, clientIdInBody = false, ...assertionOptions } = ownOptions(options)
  return clientAuthentication(
    'private_key_jwt',
    async (request) => {
      const { as, client, isPinned, signal, onReplaceable, jkt } = request
      const aud = (audience === 'token_endpoint' ? as.token_endpoint : audience) ?? as.issuer
      if (!isPinned) requireAudience(as, aud)
      const { claims: given } = assertionOptions
      const claims = jkt === undefined ? given : { ...given, cnf: { jkt } }
      let signedBy: Signer | undefined
      const sign = (signer: Signer) => {
        signedBy = signer
        requireAdvertised(as, 'private_key_jwt', signer.alg)
        const { client_id: clientId } = client
        return clientAssertion(signer, {
          ...assertionOptions,
          claims,
          clientId,
          audience: aud,
          signal,
        })
      }
      if (!('use' in source)) {
        setAssertion(request, await sign(source), clientIdInBody)
        return
      }
      setAssertion(request, await source.use(sign, { signal }), clientIdInBody)
      const refused = signedBy
      if (refused !== undefined) onReplaceable?.((options) => source.replace(refused, options))
    },
    { issuer, alg: () => ('use' in source ? source.current?.alg : source.alg) },
  )
}

function requireSource(source: SignerSource): void {
  const { sign, use } = (source ?? {}) as { readonly sign?: unknown; readonly use?: unknown }
  if (typeof sign !== 'function' && typeof use !== 'function') {
    throw new TypeError('the first argument must be a signer')
  }
}

/** Options of {@link externalAssertion}. */
export interface ExternalAssertionOptions {
  /** Pins the authorization server: metadata of another issuer is refused before the assertion is requested. */
  readonly issuer?: string | undefined
  /** Also sends `client_id` in the body, for servers that require it; `false` by default. */
  readonly clientIdInBody?: boolean | undefined
  /**
   * The type of the assertion: `'jwt-bearer'` by default, for the method `private_key_jwt`; `'jwt-spiffe'` for a JWT-SVID
   * of SPIFFE and the method `spiffe_jwt`.
   *
   * @see [OAuth SPIFFE client authentication](https://datatracker.ietf.org/doc/draft-ietf-oauth-spiffe-client-auth/)
   */
  readonly type?: 'jwt-bearer' | 'jwt-spiffe' | undefined
}

/** The authentication method of each type of assertion. */
const methods = { 'jwt-bearer': 'private_key_jwt', 'jwt-spiffe': 'spiffe_jwt' } as const

/**
 * Authenticates a client by an assertion that is made elsewhere: by a sidecar, a broker, or the platform
 * that the program runs on.
 *
 * Unless an issuer is pinned, here or by {@link tokenSource}, the assertion's `aud` must be the issuer or the token
 * endpoint of the server that it is sent to. An assertion whose `aud` cannot be read is then not sent.
 *
 * @param provide - called for each request with the authorization server's issuer identifier; returns a signed JWT in
 *   compact serialization for that audience. `assertionProvider` of `@countersign/core` makes such functions.
 * @param options - a pinned issuer, whether `client_id` goes into the body, and the type of the assertion.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server does not list the authentication method, when `provide` does not return a signed JWT
 *   (`ERR_OAUTH_ASSERTION`) or returns one for another server (`ERR_OAUTH_AUDIENCE`), and whatever `provide` throws.
 * @throws `TypeError` when `provide` is not a function, or `type` is not one of the types.
 *
 * @example
 * ```ts
 * import { externalAssertion, tokenFile } from '@countersign/oauth'
 *
 * const authentication = externalAssertion(tokenFile('/var/run/secrets/tokens/agent'))
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export function externalAssertion(
  provide: (audience: string) => string | Promise<string>,
  options: ExternalAssertionOptions = {},
): ClientAuthentication {
  if (typeof provide !== 'function') throw new TypeError('the first argument must be a function')
  const { issuer, clientIdInBody = false, type = 'jwt-bearer' } = ownOptions(options)
  if (!Object.hasOwn(methods, type)) {
    throw new TypeError('"type" must be "jwt-bearer" or "jwt-spiffe"')
  }
  return clientAuthentication(
    methods[type],
    async (request) => {
      const assertion: unknown = await provide(request.as.issuer)
      if (!isCompactJwt(assertion)) {
        throw new OAuthError(
          'ERR_OAUTH_ASSERTION',
          'The external assertion is not a signed JWT in compact serialization; nothing was sent. Fix the function that makes it',
        )
      }
      if (!request.isPinned) requireAudience(request.as, jwtClaims(assertion)['aud'])
      setAssertion(request, assertion, clientIdInBody, type)
    },
    { issuer },
  )
}

/**
 * Sets an assertion in the body of a request, RFC 7523 §2.2.
 *
 * @param withClientId - whether to set `client_id` as well; one that is in the body already stays in either case.
 */
function setAssertion(
  { client, body }: CheckedRequest,
  assertion: string,
  withClientId: boolean,
  type: keyof typeof methods = 'jwt-bearer',
): void {
  if (withClientId) body.set('client_id', client.client_id)
  body.set('client_assertion_type', `urn:ietf:params:oauth:client-assertion-type:${type}`)
  body.set('client_assertion', assertion)
}
