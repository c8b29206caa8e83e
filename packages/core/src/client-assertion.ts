import { type JwtOptions, signAssertion } from './jwt.ts'
import { requireString } from './options.ts'
import type { SignerSource } from './signer.ts'

/** Options of {@link clientAssertion}. */
export interface ClientAssertionOptions extends JwtOptions {
  /** The client identifier; becomes `iss` and `sub`. */
  readonly clientId: string
  /** The header's `typ`; `client-authentication+jwt` by default. */
  readonly typ?: string | undefined
}

/**
 * Makes a client assertion: a JWT by which an OAuth client authenticates itself.
 *
 * Each call makes a new one, with a `jti` of 128 random bits. Nothing is cached: use an assertion for one
 * request and drop it.
 *
 * @param source - who signs.
 * @param options - `clientId` becomes `iss` and `sub`; `audience` is the authorization server's issuer
 *   identifier, as one string.
 * @returns the JWT in compact serialization.
 * @throws {@link SignerError} when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type, or a claim or header member would replace one that is set.
 *
 * @example
 * ```ts
 * import { clientAssertion, type Signer } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const body = new URLSearchParams({
 *   grant_type: 'client_credentials',
 *   client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
 *   client_assertion: await clientAssertion(signer, {
 *     clientId: 'billing-agent',
 *     audience: 'https://as.example.com',
 *   }),
 * })
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2) and
 *   [§3](https://www.rfc-editor.org/rfc/rfc7523#section-3)
 */
export async function clientAssertion(
  source: SignerSource,
  options: ClientAssertionOptions,
): Promise<string> {
  const { clientId } = options
  requireString(clientId, 'clientId')
  return await signAssertion(source, clientId, clientId, 'client-authentication+jwt', options)
}

/**
 * Makes a function from audience to client assertion, the shape that other libraries ask for.
 *
 * @param source - who signs.
 * @param options - those of {@link clientAssertion}, without the audience.
 * @returns a function that makes a new assertion for the audience it is given; it throws what
 *   {@link clientAssertion} throws.
 * @throws `TypeError` when `clientId` is not a non-empty string.
 *
 * @example
 * ```ts
 * import { assertionProvider, type Signer } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const provide = assertionProvider(signer, { clientId: 'billing-agent' })
 * const assertion = await provide('https://as.example.com')
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export function assertionProvider(
  source: SignerSource,
  options: Omit<ClientAssertionOptions, 'audience'>,
): (audience: string) => Promise<string> {
  requireString(options.clientId, 'clientId')
  return (audience) => clientAssertion(source, { ...options, audience })
}
