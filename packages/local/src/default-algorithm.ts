import type { KeyObject } from 'node:crypto'
import { algorithms, isJwsAlgorithm, type JwsAlgorithm, SignerError } from '@countersign/core'
import { unusable, usableKeys } from './refusals.ts'

const byCurve: { readonly [curve: string]: JwsAlgorithm } = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
  secp256k1: 'ES256K',
}

const byType: { readonly [type: string]: JwsAlgorithm } = {
  rsa: 'RS256',
  // createSigner refuses it, and says what to do.
  'rsa-pss': 'PS256',
  // Servers without RFC 9864 know only this name; "Ed25519" can be asked for.
  ed25519: 'EdDSA',
  'ml-dsa-44': 'ML-DSA-44',
  'ml-dsa-65': 'ML-DSA-65',
  'ml-dsa-87': 'ML-DSA-87',
}

/** The only algorithm of a key, or its most widely accepted one. */
export function defaultAlgorithm(key: KeyObject): JwsAlgorithm {
  const type = key.asymmetricKeyType ?? ''
  const curve = key.asymmetricKeyDetails?.namedCurve ?? ''
  const alg = type === 'ec' ? byCurve[curve] : byType[type]
  if (alg !== undefined) return alg
  throw unusable(
    `A key of ${type === 'ec' ? `the curve ${curve}` : `type ${type}`} makes no JWS signature here; use ${usableKeys}`,
  )
}

/** The algorithm of the caller or of the key's "alg"; throws if they differ. */
export function statedAlgorithm(option: unknown, ofKey: unknown): JwsAlgorithm | undefined {
  const asked = requireAlgorithm(option)
  const own = requireAlgorithm(ofKey)
  if (asked === undefined || own === undefined || asked === own) return asked ?? own
  throw new SignerError(
    'ERR_SIGNER_CONFIG',
    `The key is for the algorithm "${own}", but "${asked}" was asked for`,
    { backend: 'local' },
  )
}

function requireAlgorithm(value: unknown): JwsAlgorithm | undefined {
  if (value === undefined || isJwsAlgorithm(value)) return value
  if (typeof value !== 'string') throw new TypeError('"alg" must be a string')
  // By mistake the value may be anything, even a key.
  const shown = /^[\w+-]{1,24}$/.test(value) ? `"${value}"` : 'given'
  throw new SignerError(
    'ERR_SIGNER_CONFIG',
    `The algorithm ${shown} is not one a signer can have; use one of ${Object.keys(algorithms).join(', ')}`,
    { backend: 'local' },
  )
}
