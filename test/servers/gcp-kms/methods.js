// @ts-check
import { createHash } from 'node:crypto'
import { algorithms } from './algorithms.js'
import { crc32c } from './crc32c.js'
import { failedPrecondition, invalidArgument } from './status.js'

/**
 * The methods of `KeyManagementService` that signing takes, over messages in the form that proto-loader gives them, with
 * `longs: String` and `enums: String`.
 *
 * @typedef {{ value: string } | null} Int64Value
 *
 * @typedef {object} PublicKeyResponse
 * @property {string} name
 * @property {string} algorithm
 * @property {string} protectionLevel
 * @property {string} pem
 * @property {Int64Value} pemCrc32c
 * @property {string} publicKeyFormat
 * @property {{ data: Buffer, crc32cChecksum: Int64Value } | null} publicKey
 *
 * @typedef {object} AsymmetricSignRequest
 * @property {string} name
 * @property {Partial<Record<'sha256' | 'sha384' | 'sha512' | 'externalMu', Uint8Array>> | null} digest
 * @property {Int64Value} digestCrc32c
 * @property {Uint8Array} data
 * @property {Int64Value} dataCrc32c
 *
 * @typedef {object} AsymmetricSignResponse
 * @property {string} name
 * @property {Buffer} signature
 * @property {Int64Value} signatureCrc32c
 * @property {boolean} verifiedDigestCrc32c
 * @property {boolean} verifiedDataCrc32c
 * @property {string} protectionLevel
 */

/**
 * @param {Uint8Array} octets
 * @returns {Int64Value}
 */
export const checksum = (octets) => ({ value: String(crc32c(octets)) })

/** @param {import('./key-store.js').Version} version */
function requireEnabled({ name, state }) {
  if (state === 'ENABLED') return
  throw failedPrecondition(`${name} is not enabled, current state is: ${state}.`)
}

/**
 * @param {import('./key-store.js').KeyStore} keys
 * @param {{ name: string, publicKeyFormat: string }} request
 * @returns {PublicKeyResponse}
 */
export function getPublicKey(keys, { name, publicKeyFormat }) {
  const version = keys.version(name)
  requireEnabled(version)
  const { publicKey, algorithm, protectionLevel } = version
  const { postQuantum = false } = algorithms[algorithm] ?? {}
  const unspecified = !publicKeyFormat || publicKeyFormat === 'PUBLIC_KEY_FORMAT_UNSPECIFIED'
  const common = { name, algorithm, protectionLevel }
  if (postQuantum) {
    if (publicKeyFormat !== 'NIST_PQC') {
      throw invalidArgument(`A key of ${algorithm} has no public key in the format asked for.`)
    }
    const { pub } = /** @type {{ pub?: string }} */ (publicKey?.export({ format: 'jwk' }) ?? {})
    // For an algorithm that node:crypto does not have, octets that look like it.
    const data = pub === undefined ? Buffer.alloc(1952, 7) : Buffer.from(pub, 'base64url')
    const raw = { data, crc32cChecksum: checksum(data) }
    return { ...common, pem: '', pemCrc32c: null, publicKeyFormat, publicKey: raw }
  }
  if (publicKey === undefined) {
    throw failedPrecondition(`Keys with algorithm ${algorithm} do not contain a public key.`)
  }
  if (!unspecified)
    throw invalidArgument(`A key of ${algorithm} is not exported as ${publicKeyFormat}.`)
  const pem = String(publicKey.export({ format: 'pem', type: 'spki' }))
  const pemCrc32c = checksum(Buffer.from(pem))
  return {
    ...common,
    pem,
    pemCrc32c,
    publicKeyFormat: 'PUBLIC_KEY_FORMAT_UNSPECIFIED',
    publicKey: null,
  }
}

/**
 * @param {import('./key-store.js').KeyStore} keys
 * @param {AsymmetricSignRequest} request
 * @returns {AsymmetricSignResponse}
 */
export function asymmetricSign(keys, request) {
  const version = keys.version(request.name)
  requireEnabled(version)
  const { algorithm, privateKey, protectionLevel } = version
  const { sign, hash } = algorithms[algorithm] ?? {}
  if (sign === undefined || privateKey === undefined) {
    throw failedPrecondition(`Keys with algorithm ${algorithm} may not be used for this signature.`)
  }
  const signature = sign(privateKey, signed(request, hash), hash ?? 'sha256')
  return {
    name: request.name,
    signature,
    signatureCrc32c: checksum(signature),
    verifiedDigestCrc32c: Boolean(request.digestCrc32c),
    verifiedDataCrc32c: Boolean(request.dataCrc32c),
    protectionLevel,
  }
}

/**
 * What is to be signed: the digest where the algorithm has a hash, else the data.
 *
 * @param {AsymmetricSignRequest} request
 * @param {'sha256' | 'sha384' | 'sha512' | undefined} hash
 * @returns {Uint8Array}
 */
export function signed({ digest, digestCrc32c, data, dataCrc32c }, hash) {
  const given = digest && Object.entries(digest).find(([, octets]) => octets.byteLength > 0)
  if (given && data.byteLength > 0) {
    throw invalidArgument('Only one of digest and data may be set.')
  }
  if (given) {
    const [name, octets] = given
    if (name !== hash) throw invalidArgument(`The digest must be ${hash ?? 'absent'}, not ${name}.`)
    const { byteLength } = createHash(hash).digest()
    if (octets.byteLength !== byteLength) throw invalidArgument('The digest has a wrong length.')
    requireChecksum(octets, digestCrc32c, 'digest')
    return octets
  }
  if (digest) throw invalidArgument('The digest is empty.')
  requireChecksum(data, dataCrc32c, 'data')
  return hash === undefined ? data : createHash(hash).update(data).digest()
}

/**
 * @param {Uint8Array} octets
 * @param {Int64Value} given
 * @param {string} field
 */
function requireChecksum(octets, given, field) {
  if (!given || given.value === String(crc32c(octets))) return
  throw invalidArgument(`The checksum in field ${field}_crc32c did not match the data in ${field}.`)
}

/**
 * @param {import('./key-store.js').KeyStore} keys
 * @param {{ parent: string, pageSize: number, pageToken: string, filter: string, orderBy: string }} request
 * @param {number} mostPerPage
 */
export function listCryptoKeyVersions(keys, request, mostPerPage) {
  const { parent, pageSize = 0, pageToken = '', filter = '', orderBy = '' } = request
  const [, state] = /^(?:state\s*[=:]\s*"?(\w+)"?)?$/.exec(filter) ?? []
  if (filter !== '' && state === undefined) throw invalidArgument('The filter is not understood.')
  if (orderBy !== '') throw invalidArgument('The order is not understood.')
  const all = keys.versions(parent).filter((version) => !state || version.state === state)
  const first = Number(pageToken || 0)
  const size = Math.min(pageSize || mostPerPage, mostPerPage)
  const page = all.slice(first, first + size)
  return {
    cryptoKeyVersions: page.map(({ name, state: current, algorithm, protectionLevel }) => ({
      name,
      state: current,
      algorithm,
      protectionLevel,
    })),
    nextPageToken: first + size < all.length ? String(first + size) : '',
    totalSize: filter === '' ? all.length : 0,
  }
}
