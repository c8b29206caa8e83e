// @ts-check
import { createHash, sign } from 'node:crypto'
import { ecdsa, rsaPkcs1, rsaPss } from '../../support/digest-signature.js'
import { constraint, KmsError, validation } from './kms-error.js'

/**
 * @typedef {import('../../support/digest-signature.js').Hash} Hash
 * @typedef {import('node:crypto').KeyObject} KeyObject
 * @typedef {'RAW' | 'DIGEST'} MessageType
 */

/** The name of a key's spec, by its kind, and its signing algorithms. */
export const keySpecs = {
  'P-256': spec('ECC_NIST_P256', ['ECDSA_SHA_256']),
  'P-384': spec('ECC_NIST_P384', ['ECDSA_SHA_384']),
  'P-521': spec('ECC_NIST_P521', ['ECDSA_SHA_512']),
  secp256k1: spec('ECC_SECG_P256K1', ['ECDSA_SHA_256']),
  'RSA-2048': rsa('RSA_2048'),
  'RSA-3072': rsa('RSA_3072'),
  'RSA-4096': rsa('RSA_4096'),
  Ed25519: spec('ECC_NIST_EDWARDS25519', ['ED25519_SHA_512', 'ED25519_PH_SHA_512']),
  'ML-DSA-44': spec('ML_DSA_44', ['ML_DSA_SHAKE_256']),
  'ML-DSA-65': spec('ML_DSA_65', ['ML_DSA_SHAKE_256']),
  'ML-DSA-87': spec('ML_DSA_87', ['ML_DSA_SHAKE_256']),
}

/**
 * @param {string} keySpec
 * @param {readonly (keyof typeof signing)[]} signingAlgorithms
 */
function spec(keySpec, signingAlgorithms) {
  return { keySpec, signingAlgorithms }
}

/** @param {string} keySpec */
function rsa(keySpec) {
  return spec(keySpec, [
    'RSASSA_PSS_SHA_256',
    'RSASSA_PSS_SHA_384',
    'RSASSA_PSS_SHA_512',
    'RSASSA_PKCS1_V1_5_SHA_256',
    'RSASSA_PKCS1_V1_5_SHA_384',
    'RSASSA_PKCS1_V1_5_SHA_512',
  ])
}

/** @type {(key: KeyObject, digest: Uint8Array) => Buffer} */
const ecdsaInDer = (key, digest) => ecdsa(key, digest, 'der')
/** @type {(key: KeyObject, message: Uint8Array) => Buffer} */
const ofMessage = (key, message) => sign(null, message, key)

/**
 * How each algorithm signs: the digest under its hash, or the message itself.
 *
 * @satisfies {Record<string, { hash?: Hash, sign: (key: KeyObject, input: Uint8Array, hash: Hash) => Buffer }>}
 */
const signing = {
  ECDSA_SHA_256: { hash: /** @type {const} */ ('sha256'), sign: ecdsaInDer },
  ECDSA_SHA_384: { hash: /** @type {const} */ ('sha384'), sign: ecdsaInDer },
  ECDSA_SHA_512: { hash: /** @type {const} */ ('sha512'), sign: ecdsaInDer },
  RSASSA_PKCS1_V1_5_SHA_256: { hash: /** @type {const} */ ('sha256'), sign: rsaPkcs1 },
  RSASSA_PKCS1_V1_5_SHA_384: { hash: /** @type {const} */ ('sha384'), sign: rsaPkcs1 },
  RSASSA_PKCS1_V1_5_SHA_512: { hash: /** @type {const} */ ('sha512'), sign: rsaPkcs1 },
  RSASSA_PSS_SHA_256: { hash: /** @type {const} */ ('sha256'), sign: rsaPss },
  RSASSA_PSS_SHA_384: { hash: /** @type {const} */ ('sha384'), sign: rsaPss },
  RSASSA_PSS_SHA_512: { hash: /** @type {const} */ ('sha512'), sign: rsaPss },
  ED25519_SHA_512: { sign: ofMessage },
  ED25519_PH_SHA_512: { sign: notMade },
  ML_DSA_SHAKE_256: { sign: ofMessage },
}

/** @returns {never} */
function notMade() {
  throw new KmsError('UnsupportedOperationException', 'This server makes no Ed25519ph signatures')
}

const longest = 4096

/**
 * Signs as the operation Sign does.
 *
 * @param {KeyObject} key
 * @param {string} algorithm
 * @param {Uint8Array} message
 * @param {string} messageType
 * @returns {Buffer}
 */
export function signMessage(key, algorithm, message, messageType) {
  const row = Object.hasOwn(signing, algorithm)
    ? signing[/** @type {keyof typeof signing} */ (algorithm)]
    : undefined
  if (row === undefined) {
    throw constraint('signingAlgorithm', 'Member must satisfy enum value set')
  }
  if (message.byteLength === 0) {
    throw constraint('message', 'Member must have length greater than or equal to 1')
  }
  if (message.byteLength > longest) {
    throw constraint('message', `Member must have length less than or equal to ${longest}`)
  }
  const hash = 'hash' in row ? row.hash : undefined
  if (messageType === 'RAW') {
    return hash === undefined
      ? row.sign(key, message, 'sha512')
      : row.sign(key, createHash(hash).update(message).digest(), hash)
  }
  if (messageType !== 'DIGEST') {
    throw constraint('messageType', 'Member must satisfy enum value set: [RAW, DIGEST]')
  }
  if (hash === undefined) {
    throw validation(`MessageType DIGEST is not valid for algorithm ${algorithm}.`)
  }
  if (message.byteLength !== createHash(hash).digest().byteLength) {
    throw validation(`Digest is invalid length for algorithm ${algorithm}.`)
  }
  return row.sign(key, message, hash)
}
