import { type KeyObject, verify } from 'node:crypto'
import { algorithms, type JwsAlgorithm } from './algorithm.ts'

/** Length in octets that a signature by this key and algorithm must have. */
export function signatureLength(alg: JwsAlgorithm, key: KeyObject): number {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  return algorithms[alg].signatureLength ?? Math.ceil(bits / 8)
}

/** Verifies a JWS signature over a signing input with `node:crypto`. */
export function verifySignature(
  alg: JwsAlgorithm,
  key: KeyObject,
  signingInput: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { hash, padding, saltLength } = algorithms[alg]
  return verify(
    hash ?? null,
    signingInput,
    {
      key,
      dsaEncoding: 'ieee-p1363',
      ...(padding === undefined ? {} : { padding }),
      ...(saltLength === undefined ? {} : { saltLength }),
    },
    signature,
  )
}
