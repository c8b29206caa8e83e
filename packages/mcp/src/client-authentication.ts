import { type AuthorizationServer, type ClientAuthentication, OAuthError } from '@countersign/oauth'
import { rateLimit, requireAdvertised, requireSecureUrl } from '@countersign/oauth/internal'

/** After a burst, one more token request may be made in this time. */
const refillSeconds = 6

/**
 * Wraps a client authentication for a provider: it gets the issuer that the caller pinned, and the number of requests
 * is bounded.
 *
 * A token source treats the issuer that it is bound to as pinned, but here the MCP server may have named it. And an
 * SDK's own flow requests a token each time the MCP server answers 401, which costs a signature each time.
 *
 * @param issuer - the pinned issuer, if any.
 * @param now - the clock, in milliseconds.
 * @throws `TypeError` when `authentication` is not a client authentication.
 */
export function providerAuthentication(
  authentication: ClientAuthentication,
  issuer: string | undefined,
  now: () => number,
): ClientAuthentication {
  requireAuthentication(authentication)
  const mayRequest = rateLimit(200, refillSeconds, now)
  const authenticate = async (
    ...[as, client, body, headers, options]: Parameters<ClientAuthentication>
  ) => {
    requireUsableServer(as, authentication)
    if (!mayRequest()) {
      throw new OAuthError(
        'ERR_OAUTH_TOKEN_REFUSED',
        `The MCP server has refused so many tokens that only one more is requested every ${refillSeconds} s; nothing was signed`,
      )
    }
    await authentication(as, client, body, headers, { ...options, issuer })
  }
  const { method } = authentication
  return Object.freeze(Object.assign(authenticate, { method }))
}

function requireAuthentication(authentication: ClientAuthentication): void {
  const method: unknown = authentication?.method
  if (typeof authentication === 'function' && typeof method === 'string' && method !== 'none')
    return
  throw new TypeError(
    '"authentication" must be privateKeyJwt(…), externalAssertion(…), clientSecretBasic(…) or clientSecretPost(…); the method "none" is not accepted, because this client must authenticate',
  )
}

/** Refuses a server whose token endpoint is not secure, or that does not accept the client's authentication. */
export function requireUsableServer(
  as: AuthorizationServer,
  { method, alg }: ClientAuthentication,
): void {
  requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: as.issuer })
  requireAdvertised(as, method, alg)
}
