import { sign } from 'node:crypto'
import {
  algorithms,
  type JwsAlgorithm,
  type SignerBackend,
  type SignRequest,
} from '@countersign/core'
import { keyPair, type Pair } from './keys.ts'

/** Signs a request as a key service would, with real cryptography. */
export function signRequest(
  alg: JwsAlgorithm,
  { privateKey }: Pair,
  { message, hash }: SignRequest,
  format: 'raw' | 'der' = 'raw',
): Uint8Array {
  const { padding, saltLength } = algorithms[alg]
  return sign(hash ?? null, message, {
    key: privateKey,
    dsaEncoding: format === 'raw' ? 'ieee-p1363' : 'der',
    ...(padding === undefined ? {} : { padding }),
    ...(saltLength === undefined ? {} : { saltLength }),
  })
}

/** A backend that signs with the algorithm's own key, except for what a test replaces. */
export function backend(
  alg: JwsAlgorithm = 'ES256',
  replaced: Partial<SignerBackend> = {},
): SignerBackend {
  const pair = keyPair(alg)
  return {
    name: 'test-vault',
    alg,
    publicKey: pair.publicKey,
    sign: async (request) => signRequest(alg, pair, request, replaced.signatureFormat),
    ...replaced,
  }
}
