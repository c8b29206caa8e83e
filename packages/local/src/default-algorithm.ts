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
  // Refused by createSigner, with what to do about it.
  'rsa-pss': 'PS256',
  // The name that servers know which do not know RFC 9864 yet; "Ed25519" is there for the asking.
  ed25519: 'EdDSA',
  'ml-dsa-44': 'ML-DSA-44',
  'ml-dsa-65': 'ML-DSA-65',
  'ml-dsa-87': 'ML-DSA-87',
}

/** The algorithm of a key that has only one, or the most widely accepted of those it has. */
export function defaultAlgorithm(key: KeyObject): JwsAlgorithm {
  const type = key.asymmetricKeyType ?? ''
  const curve = key.asymmetricKeyDetails?.namedCurve ?? ''
  const alg = type === 'ec' ? byCurve[curve] : byType[type]
  if (alg !== undefined) return alg
  throw unusable(
    `A key of ${type === 'ec' ? `the curve ${curve}` : `type ${type}`} makes no JWS signature here; use ${usableKeys}`,
  )
}

/** The algorithm that the caller and the key's own "alg" agree on, if either says one. */
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
  // What stands here by mistake may be anything, a key included.
  const shown = /^[\w+-]{1,24}$/.test(value) ? `"${value}"` : 'given'
  throw new SignerError(
    'ERR_SIGNER_CONFIG',
    `The algorithm ${shown} is not one a signer can have; use one of ${Object.keys(algorithms).join(', ')}`,
    { backend: 'local' },
  )
}
