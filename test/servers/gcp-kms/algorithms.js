// @ts-check
import { sign } from 'node:crypto'
import { ecdsa, rsaPkcs1, rsaPss } from '../../support/digest-signature.js'

/**
 * What a key version of an algorithm can do.
 *
 * @typedef {object} Algorithm
 * @property {import('../../support/key-pairs.js').KeyKind | undefined} kind  of its key pair; `undefined` without a key pair
 * @property {'sha256' | 'sha384' | 'sha512' | undefined} [hash]
 * @property {'sign' | 'decrypt' | 'encrypt' | 'mac' | 'encapsulate'} purpose
 * @property {boolean} [postQuantum]
 * @property {(key: import('node:crypto').KeyObject, input: Uint8Array, hash: 'sha256' | 'sha384' | 'sha512') => Buffer} [sign]
 *   over the digest where there is a hash, else over the data
 */

/** @typedef {import('node:crypto').KeyObject} KeyObject */

/** @type {NonNullable<Algorithm['sign']>} */
const der = (key, digest) => ecdsa(key, digest, 'der')

/** @type {NonNullable<Algorithm['sign']>} */
const plain = (key, data) => sign(null, data, key)

/**
 * @param {import('../../support/key-pairs.js').KeyKind} kind
 * @param {'sha256' | 'sha384' | 'sha512' | undefined} hash
 * @param {NonNullable<Algorithm['sign']>} make
 * @returns {Algorithm}
 */
const signing = (kind, hash, make) => ({ kind, hash, purpose: 'sign', sign: make })

/**
 * @param {'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87'} kind
 * @returns {Algorithm}
 */
const postQuantum = (kind) => ({ ...signing(kind, undefined, plain), postQuantum: true })

/**
 * The algorithms of key versions, by their names in `CryptoKeyVersionAlgorithm`.
 *
 * @type {Readonly<Record<string, Algorithm>>}
 */
export const algorithms = {
  EC_SIGN_P256_SHA256: signing('P-256', 'sha256', der),
  EC_SIGN_P384_SHA384: signing('P-384', 'sha384', der),
  EC_SIGN_SECP256K1_SHA256: signing('secp256k1', 'sha256', der),
  EC_SIGN_ED25519: signing('Ed25519', undefined, plain),
  RSA_SIGN_PKCS1_2048_SHA256: signing('RSA-2048', 'sha256', rsaPkcs1),
  RSA_SIGN_PKCS1_3072_SHA256: signing('RSA-3072', 'sha256', rsaPkcs1),
  RSA_SIGN_PKCS1_4096_SHA256: signing('RSA-4096', 'sha256', rsaPkcs1),
  RSA_SIGN_PKCS1_4096_SHA512: signing('RSA-4096', 'sha512', rsaPkcs1),
  RSA_SIGN_PSS_2048_SHA256: signing('RSA-2048', 'sha256', rsaPss),
  RSA_SIGN_PSS_3072_SHA256: signing('RSA-3072', 'sha256', rsaPss),
  RSA_SIGN_PSS_4096_SHA256: signing('RSA-4096', 'sha256', rsaPss),
  RSA_SIGN_PSS_4096_SHA512: signing('RSA-4096', 'sha512', rsaPss),
  PQ_SIGN_ML_DSA_44: postQuantum('ML-DSA-44'),
  PQ_SIGN_ML_DSA_65: postQuantum('ML-DSA-65'),
  PQ_SIGN_ML_DSA_87: postQuantum('ML-DSA-87'),
  // The following algorithms must be refused.
  RSA_SIGN_RAW_PKCS1_2048: { kind: 'RSA-2048', purpose: 'sign' },
  RSA_DECRYPT_OAEP_2048_SHA256: { kind: 'RSA-2048', purpose: 'decrypt' },
  PQ_SIGN_ML_DSA_65_EXTERNAL_MU: { kind: undefined, purpose: 'sign', postQuantum: true },
  PQ_SIGN_SLH_DSA_SHA2_128S: { kind: undefined, purpose: 'sign', postQuantum: true },
  ML_KEM_768: { kind: undefined, purpose: 'encapsulate', postQuantum: true },
  HMAC_SHA256: { kind: undefined, purpose: 'mac' },
  GOOGLE_SYMMETRIC_ENCRYPTION: { kind: undefined, purpose: 'encrypt' },
}

/**
 * The algorithm that a key of a kind is usually created with.
 *
 * @param {import('../../support/key-pairs.js').KeyKind} kind
 */
export function usualAlgorithm(kind) {
  const found = Object.keys(algorithms).find((name) => algorithms[name]?.kind === kind)
  if (found === undefined) throw new Error(`Cloud KMS has no keys of ${kind}`)
  return found
}
