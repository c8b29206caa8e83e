import { type ClientAuthentication, OAuthError } from '@countersign/oauth'

/** Refuses what is not a {@link ClientAuthentication}, and the method `none`. */
function requireAuthentication(authentication: ClientAuthentication): void {
  const method: unknown = authentication?.method
  if (typeof authentication === 'function' && typeof method === 'string' && method !== 'none')
    return
  throw new TypeError(
    '"authentication" must be privateKeyJwt(…), externalAssertion(…), clientSecretBasic(…) or clientSecretPost(…): this client is one that authenticates, which the method "none" does not',
  )
}

/** Token requests of one provider that may be made at once. */
const burst = 200
/** After that, one more may be made in this time. */
const refillMs = 6000

/**
 * Makes a client authentication that is told of the caller's pin and of no other, and that is bounded in number.
 *
 * A token source names the issuer that it is bound to as pinned. Here that issuer may be one that the MCP server named.
 * An SDK's own flow asks for a token each time the MCP server answers 401, and each request costs a signature.
 *
 * @param issuer - the pin, if there is one.
 * @param now - the clock, in milliseconds.
 */
export function providerAuthentication(
  authentication: ClientAuthentication,
  issuer: string | undefined,
  now: () => number,
): ClientAuthentication {
  requireAuthentication(authentication)
  let left = burst
  let refilledAt = now()

  function spend(): void {
    const refill = Math.floor((now() - refilledAt) / refillMs)
    // Also after a clock was set back.
    if (refill !== 0) refilledAt = now()
    left = Math.min(burst, left + Math.max(0, refill))
    if (left === 0) {
      throw new OAuthError(
        'ERR_OAUTH_TOKEN_REFUSED',
        `The MCP server has refused so many tokens that another one is asked for only every ${refillMs / 1000} s; nothing was signed`,
      )
    }
    left--
  }

  const { method } = authentication
  const authenticate = async (
    ...[as, client, body, headers, options]: Parameters<ClientAuthentication>
  ) => {
    spend()
    await authentication(as, client, body, headers, { ...options, issuer })
  }
  // Read at each use, since a rotating signer may change its algorithm.
  Object.defineProperty(authenticate, 'alg', { get: () => authentication.alg })
  return Object.freeze(Object.assign(authenticate, { method }))
}
