// @ts-check
import { constants, createHash, privateEncrypt, randomBytes } from 'node:crypto'
import { p256, p384, p521 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'

/**
 * Makes signatures over a digest, as key services do and node:crypto does not.
 *
 * @typedef {'sha256' | 'sha384' | 'sha512'} Hash
 */

/** @type {Record<string, typeof p256 | typeof secp256k1>} by OpenSSL's names of the curves */
const curves = { prime256v1: p256, secp384r1: p384, secp521r1: p521, secp256k1 }

/** The octets before a digest in an RSASSA-PKCS1-v1_5 signature, RFC 8017 §9.2, note 1. */
const digestInfo = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
}

/**
 * @param {import('node:crypto').KeyObject} key
 * @param {Uint8Array} digest
 * @param {'der' | 'raw'} format
 * @returns {Buffer}
 */
export function ecdsa(key, digest, format) {
  const name = key.asymmetricKeyDetails?.namedCurve ?? ''
  const curve = curves[name]
  if (curve === undefined) throw new Error(`no curve ${name}`)
  const { d = '' } = key.export({ format: 'jwk' })
  const options = { prehash: false, lowS: false, format: format === 'raw' ? 'compact' : 'der' }
  return Buffer.from(
    curve.sign(digest, Buffer.from(d, 'base64url'), /** @type {{ format: 'der' }} */ (options)),
  )
}

/**
 * @param {import('node:crypto').KeyObject} key
 * @param {Uint8Array} digest
 * @param {Hash} hash
 * @returns {Buffer}
 */
export function rsaPkcs1(key, digest, hash) {
  const data = Buffer.concat([Buffer.from(digestInfo[hash], 'hex'), digest])
  return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, data)
}

/**
 * RSASSA-PSS with MGF1 over the same hash and a salt as long as its digest, RFC 8017 §9.1.1.
 *
 * @param {import('node:crypto').KeyObject} key
 * @param {Uint8Array} digest
 * @param {Hash} hash
 * @returns {Buffer}
 */
export function rsaPss(key, digest, hash) {
  const bits = (key.asymmetricKeyDetails?.modulusLength ?? 0) - 1
  const length = Math.ceil(bits / 8)
  const salt = randomBytes(digest.byteLength)
  const h = createHash(hash)
    .update(Buffer.concat([Buffer.alloc(8), digest, salt]))
    .digest()
  const block = Buffer.alloc(length - h.byteLength - 1)
  block[block.byteLength - salt.byteLength - 1] = 1
  salt.copy(block, block.byteLength - salt.byteLength)
  const mask = mgf1(h, block.byteLength, hash)
  const masked = Buffer.from(block.map((octet, at) => octet ^ (mask[at] ?? 0)))
  masked[0] = (masked[0] ?? 0) & (0xff >> (8 * length - bits))
  const encoded = Buffer.concat([masked, h, Buffer.from([0xbc])])
  return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded)
}

/**
 * @param {Uint8Array} seed
 * @param {number} length
 * @param {Hash} hash
 */
function mgf1(seed, length, hash) {
  const parts = []
  for (let counter = 0, made = 0; made < length; counter++) {
    const number = Buffer.alloc(4)
    number.writeUInt32BE(counter)
    const part = createHash(hash).update(seed).update(number).digest()
    parts.push(part)
    made += part.byteLength
  }
  return Buffer.concat(parts).subarray(0, length)
}
