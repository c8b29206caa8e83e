// @ts-check
import { createPublicKey, randomUUID } from 'node:crypto'
import { keyPair } from '../../support/key-pairs.js'
import { algorithms, usualAlgorithm } from './algorithms.js'
import { invalidArgument, notFound } from './status.js'

/** The key ring that every key is in. */
const ring = 'projects/countersign-test/locations/europe-west6/keyRings/agents'

/**
 * @typedef {'ENABLED' | 'DISABLED' | 'DESTROYED' | 'DESTROY_SCHEDULED' | 'PENDING_GENERATION' | 'PENDING_IMPORT'
 *   | 'IMPORT_FAILED' | 'GENERATION_FAILED'} VersionState
 *
 * @typedef {object} Material  of one version
 * @property {import('../../support/key-pairs.js').KeyKind} [kind]  with its usual algorithm
 * @property {string} [algorithm]  as in `CryptoKeyVersionAlgorithm`
 * @property {number} [nth]  which of the key pairs of the kind
 * @property {import('node:crypto').KeyObject} [privateKey]  imported, instead of the nth pair
 * @property {VersionState} [state]
 * @property {ProtectionLevel} [protectionLevel]  `SOFTWARE` by default
 *
 * @typedef {'SOFTWARE' | 'HSM' | 'EXTERNAL' | 'EXTERNAL_VPC'} ProtectionLevel
 *
 * @typedef {object} Version
 * @property {string} name
 * @property {string} algorithm
 * @property {VersionState} state
 * @property {ProtectionLevel} protectionLevel
 * @property {import('node:crypto').KeyObject | undefined} privateKey
 * @property {import('node:crypto').KeyObject | undefined} publicKey
 * @property {import('node:crypto').KeyObject | undefined} otherKey  a private key of the same kind that is not this one
 */

export class KeyStore {
  /** @type {Map<string, Version[]>} */
  #keys = new Map()

  /**
   * Makes a key with its version 1.
   *
   * @param {Material & { id?: string }} material
   * @returns {string} the name of the key
   */
  createKey({ id = randomUUID(), ...material }) {
    const name = `${ring}/cryptoKeys/${id}`
    this.#keys.set(name, [])
    this.createVersion(name, material)
    return name
  }

  /**
   * Adds a version to a key.
   *
   * @param {string} key
   * @param {Material} material
   * @returns {string} the name of the version
   */
  createVersion(key, material) {
    const { kind, algorithm: named, nth = 0, privateKey: imported, state = 'ENABLED' } = material
    const { protectionLevel = 'SOFTWARE' } = material
    const versions = this.#keys.get(key)
    if (versions === undefined) throw new Error(`no key ${key}`)
    const algorithm = named ?? (kind && usualAlgorithm(kind)) ?? versions.at(-1)?.algorithm ?? ''
    const known = algorithms[algorithm]
    if (known === undefined) throw new Error(`no algorithm ${algorithm}`)
    const pair = known.kind && imported === undefined ? keyPair(known.kind, nth) : undefined
    const privateKey = imported ?? pair?.privateKey
    const name = `${key}/cryptoKeyVersions/${versions.length + 1}`
    versions.push({
      name,
      algorithm,
      state,
      protectionLevel,
      privateKey,
      publicKey: privateKey && createPublicKey(privateKey),
      get otherKey() {
        return known.kind && keyPair(known.kind, nth + 1).privateKey
      },
    })
    return name
  }

  /** @param {string} key  that is removed with its versions */
  removeKey(key) {
    this.#keys.delete(key)
  }

  /**
   * @param {string} name  of a version
   * @param {VersionState} state
   */
  setState(name, state) {
    this.version(name).state = state
  }

  /**
   * @param {string} name
   * @returns {Version}
   */
  version(name) {
    const [, key = '', number] =
      /^(projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+)\/cryptoKeyVersions\/(\d+)$/.exec(
        name,
      ) ?? []
    if (number === undefined) throw invalidArgument(`Resource name [${name}] is malformed.`)
    const version = this.versions(key)[Number(number) - 1]
    if (version === undefined) throw notFound(`CryptoKeyVersion ${name} not found.`)
    return version
  }

  /**
   * @param {string} key
   * @returns {readonly Version[]}
   */
  versions(key) {
    if (!/^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+$/.test(key))
      throw invalidArgument(`Resource name [${key}] is malformed.`)
    const versions = this.#keys.get(key)
    if (versions === undefined) throw notFound(`CryptoKey ${key} not found.`)
    return versions
  }
}
