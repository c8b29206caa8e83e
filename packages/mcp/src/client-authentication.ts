import {
  type AuthorizationServer,
  type ClientAuthentication,
  type Grant,
  type GrantRequest,
  OAuthError,
} from '@countersign/oauth'
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
 * @param mayBePublic - whether the method `none` is accepted, for a grant that proves enough.
 * @throws `TypeError` when `authentication` is not a client authentication.
 */
export function providerAuthentication(
  authentication: ClientAuthentication,
  issuer: string | undefined,
  now: () => number,
  mayBePublic = false,
): ClientAuthentication {
  requireAuthentication(authentication, mayBePublic)
  const requireRequest = requestLimit(now)
  const authenticate = async (
    ...[as, client, body, headers, options]: Parameters<ClientAuthentication>
  ) => {
    requireUsableServer(as, authentication)
    requireRequest()
    await authentication(as, client, body, headers, { ...options, issuer })
  }
  const { method } = authentication
  return Object.freeze(Object.assign(authenticate, { method }))
}

/** Throws at a token request that exceeds the limit. */
function requestLimit(now: () => number): () => void {
  const mayRequest = rateLimit(200, refillSeconds, now)
  return () => {
    if (mayRequest()) return
    throw new OAuthError(
      'ERR_OAUTH_TOKEN_REFUSED',
      `The MCP server has refused so many tokens that only one more is requested every ${refillSeconds} s; nothing was signed`,
    )
  }
}

/** Makes the parameters of a token request. */
export type GrantParameters = (
  as: AuthorizationServer,
  request: Omit<GrantRequest, 'issuer'>,
) => Promise<Readonly<Record<string, string>>>

/**
 * Wraps a grant for a provider, as {@link providerAuthentication} wraps a client authentication. The server is checked
 * before the grant asks for a token of the platform or of the user.
 */
export function providerGrant(
  grant: Grant,
  authentication: ClientAuthentication,
  issuer: string | undefined,
  now: () => number,
): GrantParameters {
  const requireRequest = requestLimit(now)
  return async (as, request) => {
    requireUsableServer(as, authentication)
    requireRequest()
    // A provider treats the issuer as pinned only if the caller pinned it.
    return typeof grant === 'function' ? grant(as, { ...request, issuer }) : grant
  }
}

/** Refuses a value that is not a client authentication, and the method `none` unless it is permitted. */
function requireAuthentication(authentication: ClientAuthentication, mayBePublic: boolean): void {
  const method: unknown = authentication?.method
  const isMethod = typeof method === 'string' && (mayBePublic || method !== 'none')
  if (typeof authentication === 'function' && isMethod) return
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
