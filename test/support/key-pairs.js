// @ts-check
import { generateKeyPairSync } from 'node:crypto'

/**
 * @typedef {{ privateKey: import('node:crypto').KeyObject, publicKey: import('node:crypto').KeyObject }} KeyPair
 * @typedef {'P-256' | 'P-384' | 'P-521' | 'secp256k1' | 'RSA-2048' | 'RSA-3072' | 'RSA-4096' | 'Ed25519'
 *   | 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87'} KeyKind
 */

/** @type {Map<string, KeyPair>} */
const made = new Map()

/**
 * The nth key pair of a kind, made when it is first asked for and then kept: RSA takes its time. Two of a kind are what
 * shows that a refusal is one of the wrong key, and not of the wrong kind.
 *
 * @param {KeyKind} kind
 * @param {number} [nth]
 * @returns {KeyPair}
 */
export function keyPair(kind, nth = 0) {
  const name = `${kind} ${nth}`
  const known = made.get(name)
  if (known !== undefined) return known
  const pair = generate(kind)
  made.set(name, pair)
  return pair
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
