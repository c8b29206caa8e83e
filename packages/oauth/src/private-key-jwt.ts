import {
  type ClientAssertionOptions,
  clientAssertion,
  type Signer,
  type SignerSource,
} from '@countersign/core'
import { ownOptions } from '@countersign/core/backend'
import {
  requireAdvertised,
  requireAudience,
  requirePinnedIssuer,
  requireSecureUrl,
} from './authorization-server.ts'
import { type ClientAuthentication, namedMethod } from './client-authentication.ts'

/** The registered name of a JWT as `client_assertion_type`, RFC 7523 §2.2. */
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Options of {@link privateKeyJwt}. */
export interface PrivateKeyJwtOptions
  extends Omit<ClientAssertionOptions, 'clientId' | 'audience' | 'signal'> {
  /** Pins the authorization server: metadata of any other issuer is refused before anything is signed. */
  readonly issuer?: string | undefined
  /**
   * Replaces the issuer identifier as `aud`: `'token_endpoint'` for the server's token endpoint, or any string. A string
   * that is neither the issuer nor the token endpoint needs a pinned issuer.
   */
  readonly audience?: 'token_endpoint' | (string & {}) | undefined
  /** Also sends `client_id` in the body, for servers that demand it; `false` by default. */
  readonly clientIdInBody?: boolean | undefined
}

/**
 * Authenticates a client by a JWT that its key signs, made anew for each request.
 *
 * Before anything is signed it checks that the token endpoint is https or on loopback, and that the
 * server's metadata admits `private_key_jwt` and the signer's algorithm, and that the assertion is for this server. The
 * identity is the assertion's `sub`: `client_id` is not added to the body unless you ask for it. With a rotating signer
 * the algorithm is that of the key that signs.
 *
 * @param source - who signs.
 * @param options - a pin on the issuer, and what `clientAssertion` takes beside client and audience.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server is refused, `ERR_OAUTH_AUDIENCE` when the assertion would be for another server and
 *   no issuer is pinned, and a `SignerError` when the signer cannot sign.
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
  const { issuer, audience, clientIdInBody = false, ...assertion } = ownOptions(options)
  return namedMethod(
    'private_key_jwt',
    async (as, client, body, _headers, given = {}) => {
      const { issuer: pinned, signal, onReplaceable } = ownOptions(given)
      const isPinned = requirePinnedIssuer(as, issuer, pinned)
      requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: as.issuer })
      // Also before a rotating source is asked, which may have to load its key first.
      requireAdvertised(as, 'private_key_jwt')
      const aud = audience === 'token_endpoint' ? as.token_endpoint : (audience ?? as.issuer)
      if (!isPinned) requireAudience(as, aud)
      const sign = (signer: Signer) => {
        requireAdvertised(as, 'private_key_jwt', signer.alg)
        return clientAssertion(signer, {
          ...assertion,
          clientId: client.client_id,
          audience: aud ?? '',
          signal,
        })
      }
      const set = (made: string) =>
        setAssertion(body, made, clientIdInBody ? client.client_id : undefined)
      if (!('use' in source)) {
        set(await sign(source))
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
      set(made)
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

/**
 * Puts an assertion into the body of a request.
 *
 * @param clientId - is added when it is given; a `client_id` that is there already is left alone.
 */
export function setAssertion(
  body: URLSearchParams,
  assertion: string,
  clientId: string | undefined,
): void {
  if (clientId !== undefined) body.set('client_id', clientId)
  body.set('client_assertion_type', jwtBearer)
  body.set('client_assertion', assertion)
}
