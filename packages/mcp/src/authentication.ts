import type { ClientAuthentication } from '@countersign/oauth'

/** Refuses what is not a {@link ClientAuthentication}, and the method `none`. */
export function requireAuthentication(authentication: ClientAuthentication): void {
  const method: unknown = authentication?.method
  if (typeof authentication === 'function' && typeof method === 'string' && method !== 'none')
    return
  throw new TypeError(
    '"authentication" must be privateKeyJwt(…), externalAssertion(…), clientSecretBasic(…) or clientSecretPost(…): this client is one that authenticates, which the method "none" does not',
  )
}

/**
 * Makes a client authentication that is told of the caller's pin, and of no other.
 *
 * A token source names the issuer that it is bound to as pinned. Here that issuer may be one that the MCP server named.
 */
export function withPin(
  authentication: ClientAuthentication,
  issuer: string | undefined,
): ClientAuthentication {
  const { method } = authentication
  const authenticate: (...args: Parameters<ClientAuthentication>) => Promise<void> = (
    as,
    client,
    body,
    headers,
    options,
  ) => authentication(as, client, body, headers, { ...options, issuer })
  // Read at each use, since a rotating signer may change its algorithm.
  Object.defineProperty(authenticate, 'alg', { get: () => authentication.alg })
  return Object.freeze(Object.assign(authenticate, { method }))
}
