// @ts-check
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {{ privateKey: import('node:crypto').KeyObject, publicKey: import('node:crypto').KeyObject }} KeyPair
 * @typedef {'P-256' | 'P-384' | 'P-521' | 'secp256k1' | 'RSA-2048' | 'RSA-3072' | 'RSA-4096' | 'Ed25519'
 *   | 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87'} KeyKind
 */

/** @type {Map<string, KeyPair>} */
const made = new Map()

/**
 * Returns the nth key pair of a kind, always the same one. Two pairs of a kind show that an error is about the wrong key,
 * and not about the wrong kind of key.
 *
 * @param {KeyKind} kind
 * @param {number} [nth]
 * @returns {KeyPair}
 */
export function keyPair(kind, nth = 0) {
  const name = `${kind} ${nth}`
  const known = made.get(name)
  if (known !== undefined) return known
  const pair = kind.startsWith('RSA-') ? cached(kind, nth) : generate(kind)
  made.set(name, pair)
  return pair
}

const folder = fileURLToPath(new URL('../.cache/rsa-keys/', import.meta.url))

/**
 * Reads a key pair of an earlier test process, or generates one: RSA takes seconds.
 *
 * @param {KeyKind} kind
 * @param {number} nth
 * @returns {KeyPair}
 */
function cached(kind, nth) {
  const file = `${folder}${kind}-${nth}.pem`
  try {
    const privateKey = createPrivateKey(readFileSync(file))
    return { privateKey, publicKey: createPublicKey(privateKey) }
  } catch {
    const pair = generate(kind)
    mkdirSync(folder, { recursive: true })
    // Renamed, so that another process never reads half a file.
    const unfinished = `${file}.${randomUUID()}`
    const pem = pair.privateKey.export({ format: 'pem', type: 'pkcs8' })
    writeFileSync(unfinished, pem, { mode: 0o600 })
    renameSync(unfinished, file)
    return pair
  }
}

/**
 * @param {KeyKind} kind
 * @returns {KeyPair}
 */
function generate(kind) {
  if (kind.startsWith('RSA-')) {
    return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(4)) })
  }
  if (kind === 'Ed25519') return generateKeyPairSync('ed25519')
  if (kind.startsWith('ML-DSA-')) {
    return generateKeyPairSync(
      /** @type {'ed25519'} */ (/** @type {string} */ (kind.toLowerCase())),
    )
  }
  return generateKeyPairSync('ec', { namedCurve: kind })
}
