import { createHash, createPublicKey } from 'node:crypto'
import type { PublicJwk } from './public-key.ts'

const required: { readonly [kty: string]: readonly string[] } = {
  EC: ['crv', 'kty', 'x', 'y'],
  RSA: ['e', 'kty', 'n'],
  OKP: ['crv', 'kty', 'x'],
  AKP: ['alg', 'kty', 'pub'],
}

/**
 * Computes the SHA-256 thumbprint of a JWK, which is the default `kid` of every signer.
 *
 * @param jwk - a public or private JWK; only the members that RFC 7638 §3.2 requires are read.
 * @returns the thumbprint as base64url without padding, 43 characters.
 * @throws `TypeError` when `kty` is not EC, RSA, OKP or AKP, or a required member is not a string.
 *
 * @example
 * ```ts
 * import { thumbprint } from '@countersign/core'
 *
 * const kid = thumbprint({
 *   kty: 'OKP',
 *   crv: 'Ed25519',
 *   x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
 * })
 * // 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'
 * ```
 *
 * @see [RFC 7638 §3](https://www.rfc-editor.org/rfc/rfc7638#section-3)
 */
export function thumbprint(jwk: { readonly [member: string]: unknown }): string {
  return createHash('sha256')
    .update(JSON.stringify(requiredMembers(jwk)))
    .digest('base64url')
}

/**
 * Copies the members of a public key that RFC 7638 §3.2 requires, in its order, and no others: none of a private key.
 *
 * @throws `TypeError` when `kty` is not EC, RSA, OKP or AKP, or a required member is not a string.
 */
export function requiredMembers(jwk: { readonly [member: string]: unknown }): {
  readonly [member: string]: string
} {
  const kty = jwk['kty']
  const members =
    typeof kty === 'string' && Object.hasOwn(required, kty) ? required[kty] : undefined
  if (members === undefined) throw new TypeError('"jwk.kty" must be one of EC, RSA, OKP and AKP')
  const canonical: { [member: string]: string } = {}
  for (const member of members) {
    const value = jwk[member]
    if (typeof value !== 'string') throw new TypeError(`"jwk.${member}" must be a string`)
    canonical[member] = value
  }
  return canonical
}

/**
 * Computes the SHA-256 hash of a public key's SubjectPublicKeyInfo in DER, which servers such as Keycloak take for the
 * `kid` of a client that was registered by its certificate.
 *
 * @param publicJwk - the public key.
 * @returns the hash as base64url without padding, 43 characters.
 * @throws what `createPublicKey` of `node:crypto` throws when `publicJwk` is not a public key that it reads.
 *
 * @example
 * ```ts
 * import { clientAssertion, type Signer, spkiThumbprint } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const assertion = await clientAssertion(signer, {
 *   clientId: 'billing-agent',
 *   audience: 'https://keycloak.example.com/realms/bank',
 *   kid: spkiThumbprint,
 * })
 * ```
 *
 * @see [RFC 7469 §2.4](https://www.rfc-editor.org/rfc/rfc7469#section-2.4)
 */
export function spkiThumbprint(publicJwk: PublicJwk): string {
  const spki = createPublicKey({ key: { ...publicJwk }, format: 'jwk' }).export({
    type: 'spki',
    format: 'der',
  })
  return createHash('sha256').update(spki).digest('base64url')
}
