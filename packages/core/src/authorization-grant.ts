import { type JwtOptions, signAssertion } from './jwt.ts'
import type { SignerSource } from './signer.ts'

/** Options of {@link authorizationGrant}. */
export interface AuthorizationGrantOptions extends JwtOptions {
  /** Who issues the assertion; becomes `iss`. */
  readonly issuer: string
  /** On whose behalf a token is asked for; becomes `sub`. */
  readonly subject: string
}

/**
 * Makes a JWT that is itself an authorization grant, for the grant type
 * `urn:ietf:params:oauth:grant-type:jwt-bearer`.
 *
 * @param source - who signs.
 * @param options - `issuer`, `subject`, and `audience`: the authorization server's issuer identifier or
 *   its token endpoint, as the server wants it.
 * @returns the JWT in compact serialization, a new one for each call.
 * @throws {@link SignerError} when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type, or a claim or header member would replace one that is set.
 *
 * @example
 * ```ts
 * import { authorizationGrant, type Signer } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const body = new URLSearchParams({
 *   grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
 *   assertion: await authorizationGrant(signer, {
 *     issuer: 'https://idp.example.com',
 *     subject: 'alice',
 *     audience: 'https://as.example.com',
 *   }),
 * })
 * ```
 *
 * @see [RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)
 */
export async function authorizationGrant(
  source: SignerSource,
  options: AuthorizationGrantOptions,
): Promise<string> {
  const { issuer, subject } = options
  return await signAssertion(source, issuer, subject, 'JWT', options)
}
