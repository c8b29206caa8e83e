import { createPublicKey, KeyObject, webcrypto } from 'node:crypto'
import type { JwsAlgorithm, SignRequest } from '@countersign/core'
import { unusable } from './refusals.ts'

type CryptoKey = webcrypto.CryptoKey

interface CryptoKeyAlgorithm {
  readonly name: string
  readonly namedCurve?: string
  readonly hash?: { readonly name: string }
}

const jws: { readonly [name: string]: JwsAlgorithm } = {
  'ECDSA P-256': 'ES256',
  'ECDSA P-384': 'ES384',
  'ECDSA P-521': 'ES512',
  'RSASSA-PKCS1-v1_5 SHA-256': 'RS256',
  'RSASSA-PKCS1-v1_5 SHA-384': 'RS384',
  'RSASSA-PKCS1-v1_5 SHA-512': 'RS512',
  'RSA-PSS SHA-256': 'PS256',
  'RSA-PSS SHA-384': 'PS384',
  'RSA-PSS SHA-512': 'PS512',
  Ed25519: 'EdDSA',
  'ML-DSA-44': 'ML-DSA-44',
  'ML-DSA-65': 'ML-DSA-65',
  'ML-DSA-87': 'ML-DSA-87',
}

const hashes: { readonly [curve: string]: string } = {
  'P-256': 'SHA-256',
  'P-384': 'SHA-384',
  'P-521': 'SHA-512',
}

/** The algorithm that a private `CryptoKey` is bound to. */
export function algorithmOfCryptoKey(key: CryptoKey): JwsAlgorithm {
  if (key.type !== 'private')
    throw unusable(`This CryptoKey is ${key.type}, and signing needs a private one`)
  if (!key.usages.includes('sign')) throw unusable('This CryptoKey does not have the usage "sign"')
  const { name, namedCurve, hash } = key.algorithm as CryptoKeyAlgorithm
  const description = [name, namedCurve ?? hash?.name].filter(Boolean).join(' ')
  const alg = jws[description]
  if (alg === undefined) throw unusable(`A CryptoKey for ${description} makes no JWS signature`)
  return alg
}

/** The public half of a private `CryptoKey`, extractable or not. */
export async function publicKeyOfCryptoKey(key: CryptoKey): Promise<KeyObject> {
  const subtle: webcrypto.SubtleCrypto & {
    getPublicKey?(key: CryptoKey, usages: string[]): Promise<CryptoKey>
  } = webcrypto.subtle
  // No single way works in all releases of Node.js without a warning: this one is experimental where it exists,
  // and the other is deprecated for keys that are not extractable.
  if (!key.extractable && subtle.getPublicKey !== undefined) {
    return KeyObject.from(await subtle.getPublicKey(key, ['verify']))
  }
  return createPublicKey(KeyObject.from(key))
}

/** Makes the signing function of a `CryptoKey`, extractable or not. */
export function signWithCryptoKey(key: CryptoKey): (request: SignRequest) => Promise<Uint8Array> {
  const { name, namedCurve, hash } = key.algorithm as CryptoKeyAlgorithm
  const parameters = {
    name,
    ...(namedCurve === undefined ? {} : { hash: hashes[namedCurve] }),
    ...(name === 'RSA-PSS' ? { saltLength: Number(hash?.name.slice(4)) / 8 } : {}),
  }
  return async ({ message }) =>
    new Uint8Array(await webcrypto.subtle.sign(parameters, key, message))
}
