import { constants, createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { algorithms, type JwsAlgorithm } from '@countersign/core'

/** A public key and the one algorithm its signatures are verified with. */
export interface VerificationKey {
  readonly alg: JwsAlgorithm
  readonly key: KeyObject
}

/** What is wrong with a signature. */
export interface SignatureFault {
  /** The check whose claim this is; absent when all that can be said is that it does not verify. */
  readonly check?: 'ecdsa-raw' | 'pss-salt-length' | 'signature-width'
  readonly message: string
}

const publicMembers = ['kty', 'crv', 'alg', 'x', 'y', 'n', 'e', 'pub']

/** Reads the public members of a JWK and ignores all others. */
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

/** Says what is wrong with a signature, or nothing when it is right. */
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
      const message = `the signature is DER of ${found} octets; a JWS has r ‖ s of ${width} octets for ${alg}`
      return { check: 'ecdsa-raw', message }
    }
    const message = `a signature has ${found} octets; with ${alg} and this key each has exactly ${width}`
    return { check: 'signature-width', message }
  }
  if (verifies({ alg, key }, input, signature)) return undefined
  if (verifiesAs(alg, key, input, signature, 'ieee-p1363', constants.RSA_PSS_SALTLEN_AUTO)) {
    const message = `the PSS salt is not as long as the hash; ${alg} wants ${hash?.slice(3)} bits`
    return { check: 'pss-salt-length', message }
  }
  const digest = hash === undefined ? undefined : createHash(hash).update(input).digest()
  const twice = digest !== undefined && verifies({ alg, key }, digest, signature)
  const hint = twice ? '; it does over the hash of the input, which was hashed twice' : ''
  return { message: `the signature does not verify over its input under publicJwk${hint}` }
}

/** The exact number of octets that a signature has: RFC 7518 §3.4 for ECDSA, that of the modulus for RSA. */
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
    // Some malformed signatures are refused with an error of OpenSSL's instead of an answer.
    return false
  }
}
