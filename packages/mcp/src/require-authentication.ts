import type { ClientAuthentication } from '@countersign/oauth'

/** Refuses what is not a {@link ClientAuthentication}, and what authenticates nobody. */
export function requireAuthentication(authentication: ClientAuthentication): void {
  const method: unknown = authentication?.method
  if (typeof authentication === 'function' && typeof method === 'string' && method !== 'none')
    return
  throw new TypeError(
    '"authentication" must be privateKeyJwt(…), externalAssertion(…), clientSecretBasic(…) or clientSecretPost(…): this client is one that authenticates, which the method "none" does not',
  )
}
