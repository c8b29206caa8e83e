import { requireAdvertised, requireSecureUrl } from './authorization-server.ts'
import { type ClientAuthentication, namedMethod } from './client-authentication.ts'
import { OAuthError } from './error.ts'
import { setAssertion } from './private-key-jwt.ts'

const compactJws = /^[\w-]+\.[\w-]+\.[\w-]+$/

/**
 * Authenticates a client by an assertion that is made elsewhere: by a sidecar, a broker, or the platform
 * that the program runs on.
 *
 * @param provide - is called for each request with the authorization server's issuer identifier, and returns a
 *   signed JWT in compact serialization for that audience. `assertionProvider` of `@countersign/core` makes such functions.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server does not admit `private_key_jwt`, or when what `provide` returns is no
 *   signed JWT (`ERR_OAUTH_ASSERTION`); what `provide` throws is passed on.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { externalAssertion } from '@countersign/oauth'
 *
 * const authentication = externalAssertion(async () => {
 *   const token = await readFile('/var/run/secrets/tokens/agent', 'utf8')
 *   return token.trim()
 * })
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export function externalAssertion(
  provide: (audience: string) => string | Promise<string>,
): ClientAuthentication {
  if (typeof provide !== 'function') throw new TypeError('the first argument must be a function')
  return namedMethod('private_key_jwt', async (as, _client, body) => {
    requireSecureUrl(as.token_endpoint, 'token endpoint')
    requireAdvertised(as, 'private_key_jwt')
    const assertion: unknown = await provide(as.issuer)
    if (typeof assertion !== 'string' || !compactJws.test(assertion)) {
      throw new OAuthError(
        'ERR_OAUTH_ASSERTION',
        'The external assertion is not a signed JWT in compact serialization; nothing was sent',
      )
    }
    setAssertion(body, assertion)
  })
}
