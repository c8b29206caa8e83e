import type { Jwk, JwsAlgorithm, KeyProtection } from '@countersign/core'
import type { FetchedKey } from './client.ts'
import { refusal } from './errors.ts'

/**
 * By the service's name for a key type or a curve: its JWK members, and the algorithms, which both name alike, the
 * default first.
 */
const kinds = {
  RSA: {
    jwk: { kty: 'RSA' },
    algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  },
  'P-256': { jwk: { kty: 'EC', crv: 'P-256' }, algorithms: ['ES256'] },
  'P-384': { jwk: { kty: 'EC', crv: 'P-384' }, algorithms: ['ES384'] },
  'P-521': { jwk: { kty: 'EC', crv: 'P-521' }, algorithms: ['ES512'] },
  'P-256K': { jwk: { kty: 'EC', crv: 'secp256k1' }, algorithms: ['ES256K'] },
} as const satisfies Record<string, { jwk: Jwk; algorithms: readonly JwsAlgorithm[] }>

/** A key that can sign: public half, algorithms, protection. */
export interface FitKey {
  readonly publicKey: Jwk
  readonly algorithms: readonly JwsAlgorithm[]
  readonly protection: KeyProtection
}

/** Reads a key, and throws if it cannot sign now. */
export function fitKey({ key = {}, keyOperations, properties }: FetchedKey): FitKey {
  const { enabled, notBefore, expiresOn } = properties
  if (enabled === false) {
    throw refusal(
      'ERR_SIGNER_KEY_DISABLED',
      'This version of the key is disabled; enable it, or choose another version',
    )
  }
  const now = Date.now()
  if (notBefore !== undefined && now < notBefore.getTime()) {
    throw refusal(
      'ERR_SIGNER_KEY_DISABLED',
      `This version of the key is not valid before ${notBefore.toISOString()}; wait, or choose another version`,
    )
  }
  if (expiresOn !== undefined && now >= expiresOn.getTime()) {
    throw refusal(
      'ERR_SIGNER_KEY_DISABLED',
      `This version of the key expired at ${expiresOn.toISOString()}; choose another version, or extend it`,
    )
  }
  if (keyOperations?.includes('sign') === false) {
    throw refusal(
      'ERR_SIGNER_KEY_UNSUPPORTED',
      'The operations of this key do not include "sign"; add it, or use another key',
    )
  }
  const type = key.kty?.replace(/-HSM$/, '')
  const name = type === 'EC' ? key.crv : type
  if (!isKind(name)) {
    throw refusal(
      'ERR_SIGNER_KEY_UNSUPPORTED',
      `A key of ${/^[\w-]{1,24}$/.test(name ?? '') ? name : 'this type'} makes no JWS signature here; use RSA, or EC on P-256, P-384, P-521 or P-256K`,
    )
  }
  const { jwk, algorithms } = kinds[name]
  const { n, e, x, y } = key
  const protection = type === key.kty ? 'software' : 'hsm'
  return { publicKey: { ...jwk, ...encoded({ n, e, x, y }) }, algorithms, protection }
}

function isKind(name: string | undefined): name is keyof typeof kinds {
  return name !== undefined && Object.hasOwn(kinds, name)
}

function encoded(members: Record<string, Uint8Array | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(members).flatMap(([member, octets]) =>
      octets instanceof Uint8Array ? [[member, Buffer.from(octets).toString('base64url')]] : [],
    ),
  )
}
