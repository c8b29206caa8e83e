// @ts-check
import { generateKeyPairSync } from 'node:crypto'

/** @typedef {import('node:crypto').KeyPairKeyObjectResult & { pem: string }} BenchKey */

/**
 * Generates a key: P-256, or RSA with 2048 bits.
 *
 * @param {'ES256' | 'RS256'} alg
 * @returns {BenchKey}
 */
export function newKey(alg) {
  const pair =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...pair, pem: String(pair.privateKey.export({ format: 'pem', type: 'pkcs8' })) }
}
