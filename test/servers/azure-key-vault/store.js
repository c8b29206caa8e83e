// @ts-check
import { createPublicKey, randomBytes } from 'node:crypto'
import { ecdsa, rsaPkcs1, rsaPss } from '../../support/digest-signature.js'
import { badParameter, refusal } from './errors.js'

/**
 * One version of a key.
 *
 * @typedef {object} Version
 * @property {string} name
 * @property {string} version
 * @property {import('node:crypto').KeyObject} privateKey
 * @property {boolean} hsm
 * @property {string[]} keyOps
 * @property {boolean} enabled
 * @property {Date | undefined} notBefore
 * @property {Date | undefined} expires
 * @property {Date} created
 */

/** @typedef {'sha256' | 'sha384' | 'sha512'} Hash */

/**
 * By the service's name for it: type and curve of the key, hash, and how it is signed with.
 *
 * @type {Record<string, { type: string, hash: Hash, sign: (key: import('node:crypto').KeyObject, digest: Buffer, hash: Hash) => Buffer }>}
 */
export const algorithms = {
  ES256: { type: 'P-256', hash: 'sha256', sign: raw },
  ES384: { type: 'P-384', hash: 'sha384', sign: raw },
  ES512: { type: 'P-521', hash: 'sha512', sign: raw },
  ES256K: { type: 'P-256K', hash: 'sha256', sign: raw },
  RS256: { type: 'RSA', hash: 'sha256', sign: rsaPkcs1 },
  RS384: { type: 'RSA', hash: 'sha384', sign: rsaPkcs1 },
  RS512: { type: 'RSA', hash: 'sha512', sign: rsaPkcs1 },
  PS256: { type: 'RSA', hash: 'sha256', sign: rsaPss },
  PS384: { type: 'RSA', hash: 'sha384', sign: rsaPss },
  PS512: { type: 'RSA', hash: 'sha512', sign: rsaPss },
}

const digestLength = { sha256: 32, sha384: 48, sha512: 64 }

/**
 * @param {import('node:crypto').KeyObject} key
 * @param {Buffer} digest
 */
function raw(key, digest) {
  return ecdsa(key, digest, 'raw')
}

/**
 * Type and curve of a key, by the service's name for them.
 *
 * @param {import('node:crypto').KeyObject} key
 */
function typeOf(key) {
  const { kty, crv = '' } = createPublicKey(key).export({ format: 'jwk' })
  return kty === 'EC' ? crv.replace('secp256k1', 'P-256K') : String(kty)
}

export const newVersion = () => randomBytes(16).toString('hex')

/**
 * @param {string} vaultUrl
 * @param {Version} version
 */
export const kidOf = (vaultUrl, { name, version }) => `${vaultUrl}/keys/${name}/${version}`

/**
 * A KeyBundle: the public key and what is known of it.
 *
 * @param {string} vaultUrl
 * @param {Version} version
 */
export function bundleOf(vaultUrl, version) {
  const { privateKey, hsm, keyOps, enabled, notBefore, expires, created } = version
  const { kty, crv, ...members } = createPublicKey(privateKey).export({ format: 'jwk' })
  const key = {
    kid: kidOf(vaultUrl, version),
    kty: hsm ? `${kty}-HSM` : String(kty),
    key_ops: keyOps,
    ...(crv === undefined ? {} : { crv: crv.replace('secp256k1', 'P-256K') }),
    .../** @type {Record<string, string>} */ (members),
  }
  const attributes = {
    enabled,
    ...(notBefore === undefined ? {} : { nbf: seconds(notBefore) }),
    ...(expires === undefined ? {} : { exp: seconds(expires) }),
    created: seconds(created),
    updated: seconds(created),
    recoveryLevel: 'Recoverable+Purgeable',
    recoverableDays: 90,
    exportable: false,
  }
  return { key, attributes, tags: {} }
}

/** @param {Date} date */
const seconds = (date) => Math.floor(date.getTime() / 1000)

/**
 * Signs as the service does, or refuses.
 *
 * @param {string} vaultUrl
 * @param {Version} version
 * @param {unknown} request  the parsed body
 * @returns {import('./errors.js').Answer}
 */
export function signature(vaultUrl, version, request) {
  const { privateKey, keyOps, enabled, notBefore, expires } = version
  const now = new Date()
  if (!enabled) {
    return refusal(
      403,
      'Forbidden',
      'Operation sign is not allowed on a disabled key.',
      'KeyDisabled',
    )
  }
  if (notBefore !== undefined && now < notBefore) {
    return refusal(
      403,
      'Forbidden',
      'Operation sign is not allowed on a key that is not yet valid.',
      'KeyNotYetValid',
    )
  }
  if (expires !== undefined && now >= expires) {
    return refusal(
      403,
      'Forbidden',
      'Operation sign is not allowed on an expired key.',
      'KeyExpired',
    )
  }
  if (!keyOps.includes('sign')) {
    return refusal(
      403,
      'Forbidden',
      'Operation sign is not permitted on this key.',
      'KeyOperationForbidden',
    )
  }
  const { alg, value } = /** @type {{ alg?: unknown, value?: unknown }} */ (request ?? {})
  const algorithm = algorithms[String(alg)]
  if (algorithm === undefined || typeof value !== 'string' || !/^[\w-]+$/.test(value)) {
    return badParameter('Property  has invalid value')
  }
  const digest = Buffer.from(value, 'base64url')
  if (algorithm.type !== typeOf(privateKey)) {
    return badParameter(
      `Key and signing algorithm are incompatible. Key ${kidOf(vaultUrl, version)} is of '${typeOf(privateKey)}', and algorithm '${alg}' can only be used with '${algorithm.type}'.`,
    )
  }
  if (digest.byteLength !== digestLength[algorithm.hash]) {
    return badParameter(
      `Invalid length of 'value': ${digest.byteLength} bytes. Requires ${digestLength[algorithm.hash]} bytes, as this is the length of the digest of ${alg}.`,
    )
  }
  const octets = algorithm.sign(privateKey, digest, algorithm.hash)
  return {
    status: 200,
    body: { kid: kidOf(vaultUrl, version), value: octets.toString('base64url') },
  }
}
