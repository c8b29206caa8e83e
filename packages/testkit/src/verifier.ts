import { constants, createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { algorithms, type JwsAlgorithm } from '@countersign/core'

/** A public key, and the algorithm of its signatures. */
export interface VerificationKey {
  readonly alg: JwsAlgorithm
  readonly key: KeyObject
}

/** What is wrong with a signature. */
export interface SignatureFault {
  /** The check that this fault fails; absent if the signature only does not verify. */
  readonly check?: 'ecdsa-raw' | 'pss-salt-length' | 'signature-width'
  readonly message: string
}

const publicMembers = ['kty', 'crv', 'alg', 'x', 'y', 'n', 'e', 'pub']

/** Reads a public key from a JWK, without its other members. */
export function readPublicJwk(jwk: object): KeyObject {
  const members = Object.entries(jwk).filter(([member]) => publicMembers.includes(member))
  return createPublicKey({ key: Object.fromEntries(members), format: 'jwk' })
}

/**
 * Verifies a JWS signature over its signing input: r ‖ s for ECDSA, a salt as long as the hash for PSS.
 *
 * @see [RFC 7518 §3](https://www.rfc-editor.org/rfc/rfc7518#section-3)
 */
export function verifies(
  { alg, key }: VerificationKey,
  input: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verifiesAs(alg, key, input, signature, 'ieee-p1363', constants.RSA_PSS_SALTLEN_DIGEST)
}

/** What is wrong with a signature, or `undefined` if it is right. */
export function signatureFault(
  { alg, key }: VerificationKey,
  input: Uint8Array,
  signature: Uint8Array,
): SignatureFault | undefined {
  const { kty, hash } = algorithms[alg]
  const width = signatureWidth({ alg, key })
  const found = signature.byteLength
  if (found !== width) {
    if (kty === 'EC' && verifiesAs(alg, key, input, signature, 'der')) {
      const message = `the signature is DER of ${found} octets; for ${alg}, a JWS has r ‖ s of ${width} octets`
      return { check: 'ecdsa-raw', message }
    }
    const message = `a signature has ${found} octets; with ${alg} and this key each must have exactly ${width}`
    return { check: 'signature-width', message }
  }
  if (verifies({ alg, key }, input, signature)) return undefined
  if (verifiesAs(alg, key, input, signature, 'ieee-p1363', constants.RSA_PSS_SALTLEN_AUTO)) {
    const message = `the PSS salt is not as long as the hash; for ${alg} it must have ${hash?.slice(3)} bits`
    return { check: 'pss-salt-length', message }
  }
  const digest = hash === undefined ? undefined : createHash(hash).update(input).digest()
  const twice = digest !== undefined && verifies({ alg, key }, digest, signature)
  const hint = twice
    ? '; it verifies over the hash of the input, so the input was hashed twice'
    : ''
  return { message: `the signature does not verify over its input under publicJwk${hint}` }
}

/** The exact number of octets of a signature: that of RFC 7518 §3.4 for ECDSA, that of the modulus for RSA. */
function signatureWidth({ alg, key }: VerificationKey): number {
  const modulus = key.asymmetricKeyDetails?.modulusLength ?? 0
  return algorithms[alg].signatureLength ?? Math.ceil(modulus / 8)
}

function verifiesAs(
  alg: JwsAlgorithm,
  key: KeyObject,
  input: Uint8Array,
  signature: Uint8Array,
  dsaEncoding: 'ieee-p1363' | 'der',
  saltLength?: number,
): boolean {
  const { hash, padding } = algorithms[alg]
  const isPss = padding === constants.RSA_PKCS1_PSS_PADDING
  const options = {
    key,
    dsaEncoding,
    ...(padding === undefined ? {} : { padding }),
    ...(isPss && saltLength !== undefined ? { saltLength } : {}),
  }
  try {
    return verify(hash ?? null, input, options, signature)
  } catch {
    // OpenSSL throws for some malformed signatures.
    return false
  }
}

/** Copies octets with their last bit flipped. */
export function flipped(octets: Uint8Array): Uint8Array {
  const copy = new Uint8Array(octets)
  copy.set([(copy.at(-1) ?? 0) ^ 1], copy.byteLength - 1)
  return copy
}
