// @ts-check
import { createPublicKey, randomBytes, randomUUID } from 'node:crypto'
import { keyPair } from '../../support/key-pairs.js'
import { KmsError } from './kms-error.js'
import { keySpecs } from './signing-algorithms.js'

/**
 * @typedef {import('node:crypto').KeyObject} KeyObject
 * @typedef {import('../../support/key-pairs.js').KeyKind} KeyKind
 * @typedef {'Enabled' | 'Disabled' | 'PendingDeletion' | 'PendingImport' | 'Unavailable'} KeyState
 */

/**
 * A key in the service. Tests may change the members that are not read-only.
 *
 * @typedef {object} KmsKey
 * @property {string} id
 * @property {string} arn
 * @property {KeyKind} kind
 * @property {KeyObject} publicKey
 * @property {KeyObject | undefined} privateKey
 * @property {string} keySpec
 * @property {string} keyUsage
 * @property {readonly string[]} signingAlgorithms
 * @property {KeyState} state
 */

/**
 * @typedef {object} KeyOptions
 * @property {number} [nth]  which key pair of the kind; by default, each key of a kind gets the next one
 * @property {boolean} [multiRegion]
 * @property {string} [keyUsage]
 * @property {string} [keySpec]  another than that of the kind
 * @property {readonly string[]} [signingAlgorithms]  others than those of the kind
 */

const account = '111122223333'

/** The keys and aliases of one account in one region. */
export class KeyStore {
  /** @type {Map<string, KmsKey>} */
  #keys = new Map()
  /** @type {Map<string, KmsKey>} */
  #aliases = new Map()
  #prefix

  /** @param {string} region */
  constructor(region) {
    this.region = region
    this.#prefix = `arn:aws:kms:${region}:${account}:`
  }

  /**
   * @param {KeyKind} kind
   * @param {KeyOptions} [options]
   * @returns {KmsKey}
   */
  create(kind, options = {}) {
    const ofKind = [...this.#keys.values()].filter((key) => key.kind === kind).length
    return this.#add(kind, keyPair(kind, options.nth ?? ofKind), options)
  }

  /**
   * A key with key material from outside, as ImportKeyMaterial makes it.
   *
   * @param {KeyObject} privateKey
   * @param {KeyOptions} [options]
   * @returns {KmsKey}
   */
  import(privateKey, options = {}) {
    const publicKey = createPublicKey(privateKey)
    return this.#add(kindOf(publicKey), { privateKey, publicKey }, options)
  }

  /**
   * A key of which only the public half is known, and which cannot sign.
   *
   * @param {KeyKind} kind
   * @param {KeyObject | Buffer} publicKey  or SPKI in DER, for keys that this Node.js does not know
   * @param {KeyOptions} [options]
   * @returns {KmsKey}
   */
  show(kind, publicKey, options = {}) {
    const spki = Buffer.isBuffer(publicKey) ? { export: () => publicKey } : publicKey
    const pair = { publicKey: /** @type {KeyObject} */ (spki), privateKey: undefined }
    return this.#add(kind, pair, options)
  }

  /**
   * @param {KeyKind} kind
   * @param {{ publicKey: KeyObject, privateKey: KeyObject | undefined }} pair
   * @param {KeyOptions} options
   */
  #add(kind, pair, { multiRegion = false, keyUsage = 'SIGN_VERIFY', ...others }) {
    const id = multiRegion ? `mrk-${randomBytes(16).toString('hex')}` : randomUUID()
    /** @type {KmsKey} */
    const key = {
      id,
      arn: `${this.#prefix}key/${id}`,
      kind,
      ...pair,
      keySpec: others.keySpec ?? keySpecs[kind].keySpec,
      keyUsage,
      signingAlgorithms:
        others.signingAlgorithms ??
        (keyUsage === 'SIGN_VERIFY' ? keySpecs[kind].signingAlgorithms : []),
      state: 'Enabled',
    }
    this.#keys.set(id, key)
    return key
  }

  /** @param {KmsKey} key */
  remove(key) {
    this.#keys.delete(key.id)
  }

  /**
   * Makes an alias, or moves it.
   *
   * @param {string} name  `alias/…`
   * @param {KmsKey} key
   * @returns {string} its ARN
   */
  setAlias(name, key) {
    this.#aliases.set(name, key)
    return `${this.#prefix}${name}`
  }

  /**
   * The key by any of its names, as KMS reads a KeyId.
   *
   * @param {string} name
   * @returns {KmsKey}
   */
  find(name) {
    const [, partition, service, region, , local = ''] =
      /^(arn:[\w-]+):(kms):([\w-]*):(\w*):(.+)$/.exec(name) ?? []
    if (name.startsWith('arn:') && (partition === undefined || service === undefined)) {
      throw new KmsError('NotFoundException', `Invalid arn ${name}`)
    }
    if (region !== undefined && region !== this.region) {
      throw new KmsError('NotFoundException', `Invalid arn ${region}`)
    }
    if (name.startsWith('arn:') && !name.startsWith(this.#prefix)) {
      throw new KmsError('NotFoundException', `Key '${name}' does not exist`)
    }
    const relative = name.startsWith('arn:') ? local.replace(/^key\//, '') : name
    if (relative.startsWith('alias/')) {
      const key = this.#aliases.get(relative)
      if (key !== undefined) return key
      throw new KmsError('NotFoundException', `Alias ${this.#prefix}${relative} is not found.`)
    }
    const key = this.#keys.get(relative)
    if (key !== undefined) return key
    throw new KmsError(
      'NotFoundException',
      /^(?:mrk-)?[\da-f-]{32,36}$/.test(relative)
        ? `Key '${this.#prefix}key/${relative}' does not exist`
        : `Invalid keyId ${relative}`,
    )
  }

  /**
   * Another key of the same kind; created if it does not exist.
   *
   * @param {KmsKey} key
   * @returns {KmsKey}
   */
  sibling(key) {
    const others = [...this.#keys.values()].filter(({ kind }) => kind === key.kind)
    const other = others.find(({ publicKey }) => !publicKey.equals(key.publicKey))
    return other ?? this.create(key.kind, { nth: 1 })
  }
}

/**
 * @param {KeyObject} key
 * @returns {KeyKind}
 */
function kindOf({ asymmetricKeyType: type, asymmetricKeyDetails: details = {} }) {
  /** @type {Record<string, KeyKind>} */
  const curves = {
    prime256v1: 'P-256',
    secp384r1: 'P-384',
    secp521r1: 'P-521',
    secp256k1: 'secp256k1',
  }
  const name =
    type === 'ed25519'
      ? 'Ed25519'
      : type === 'rsa'
        ? `RSA-${details.modulusLength}`
        : (curves[details.namedCurve ?? ''] ?? String(type).toUpperCase())
  if (Object.hasOwn(keySpecs, name)) return /** @type {KeyKind} */ (name)
  throw new Error(`AWS KMS has no keys of ${name}`)
}
