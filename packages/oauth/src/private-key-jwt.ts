import {
  type ClientAssertionOptions,
  clientAssertion,
  type Signer,
  type SignerSource,
} from '@countersign/core'
import { requireAdvertised, requireIssuer, requireSecureUrl } from './authorization-server.ts'
import { type ClientAuthentication, namedMethod } from './client-authentication.ts'

/** The registered name of a JWT as `client_assertion_type`, RFC 7523 §2.2. */
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Options of {@link privateKeyJwt}. */
export interface PrivateKeyJwtOptions
  extends Omit<ClientAssertionOptions, 'clientId' | 'audience' | 'signal'> {
  /** Pins the authorization server: metadata of any other issuer is refused before anything is signed. */
  readonly issuer?: string | undefined
  /** Replaces the issuer identifier as `aud`, for servers that want their token endpoint there. */
  readonly audience?: string | undefined
}

/**
 * Authenticates a client by a JWT that its key signs, made anew for each request.
 *
 * Before anything is signed it checks that the token endpoint is https or on loopback, and that the
 * server's metadata admits `private_key_jwt` and the signer's algorithm. `client_id` stays out of the body:
 * the identity is the assertion's `sub`. With a rotating signer the algorithm is that of the key that signs.
 *
 * @param source - who signs.
 * @param options - a pin on the issuer, and what `clientAssertion` takes beside client and audience.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server is refused, and a `SignerError` when the signer cannot sign.
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
  const { issuer, audience, ...assertion } = options
  return namedMethod(
    'private_key_jwt',
    async (as, client, body, _headers, { signal, onReplaceable } = {}) => {
      if (issuer !== undefined) requireIssuer(as, issuer)
      requireSecureUrl(as.token_endpoint, 'token endpoint')
      // Before a rotating source is asked, too, which may have to load its key first.
      requireAdvertised(as, 'private_key_jwt')
      const sign = (signer: Signer) => {
        requireAdvertised(as, 'private_key_jwt', signer.alg)
        return clientAssertion(signer, {
          ...assertion,
          clientId: client.client_id,
          audience: audience ?? as.issuer,
          signal,
        })
      }
      if (!('use' in source)) {
        setAssertion(body, await sign(source))
        return
      }
      let signedBy: Signer | undefined
      const made = await source.use(
        (signer) => {
          signedBy = signer
          return sign(signer)
        },
        { signal },
      )
      setAssertion(body, made)
      const refused = signedBy
      if (refused !== undefined) onReplaceable?.((options) => source.replace(refused, options))
    },
    () => ('use' in source ? source.current?.alg : source.alg),
  )
}

function requireSource(source: SignerSource): void {
  const { sign, use } = (source ?? {}) as { readonly sign?: unknown; readonly use?: unknown }
  if (typeof sign !== 'function' && typeof use !== 'function') {
    throw new TypeError('the first argument must be a signer')
  }
}

/** Puts an assertion into the body of a request, and takes the client's name out. */
export function setAssertion(body: URLSearchParams, assertion: string): void {
  body.delete('client_id')
  body.set('client_assertion_type', jwtBearer)
  body.set('client_assertion', assertion)
}
