import type { KeyObject } from 'node:crypto'
import { isJwsAlgorithm, type JwsAlgorithm, SignerError } from '@countersign/core'

const byCurve: { readonly [curve: string]: JwsAlgorithm } = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
  secp256k1: 'ES256K',
}

const byType: { readonly [type: string]: JwsAlgorithm } = {
  rsa: 'RS256',
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
  throw new SignerError(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `A key of ${type === 'ec' ? `the curve ${curve}` : `type ${type}`} makes no JWS signature here; use RSA, EC (P-256, P-384, P-521, secp256k1) or Ed25519, or ML-DSA on Node.js 24.7 and later`,
    { backend: 'local' },
  )
}

/** The algorithm that the caller and the key's own "alg" agree on, if either says one. */
export function statedAlgorithm(option: unknown, ofKey: unknown): JwsAlgorithm | undefined {
  if (option !== undefined && ofKey !== undefined && option !== ofKey) {
    throw new SignerError(
      'ERR_SIGNER_CONFIG',
      `The key is for the algorithm ${JSON.stringify(ofKey)}, but ${JSON.stringify(option)} was asked for`,
      { backend: 'local' },
    )
  }
  const alg = option ?? ofKey
  if (alg === undefined || isJwsAlgorithm(alg)) return alg
  throw new SignerError(
    'ERR_SIGNER_CONFIG',
    `The algorithm ${JSON.stringify(alg)} is not one a signer can have`,
    { backend: 'local' },
  )
}
