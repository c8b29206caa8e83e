import {
  createPrivateKey,
  createPublicKey,
  type JsonWebKeyInput,
  type KeyObject,
} from 'node:crypto'
import type { Jwk } from '@countersign/core'
import { mismatch, publicKeyGiven, secretGiven, unreadable, unusable } from './refusals.ts'

const crt = ['p', 'q', 'dp', 'dq', 'qi'] as const

/** Reads a private JWK, RFC 7517 §4, and throws if it is not for signatures. */
export function readPrivateJwk(jwk: Jwk): KeyObject {
  if (jwk.kty === 'oct') throw secretGiven()
  if (jwk.use !== undefined && jwk.use !== 'sig') {
    throw unusable('The JWK is not for signatures: its "use" is not "sig"')
  }
  const operations = jwk.key_ops
  if (Array.isArray(operations) && !operations.includes('sign')) {
    throw unusable('The JWK does not list "sign" among its "key_ops"')
  }
  if (jwk.d === undefined && jwk.priv === undefined) throw publicKeyGiven()
  if (jwk.kty === 'RSA' && crt.some((member) => jwk[member] === undefined)) {
    throw unreadable('the RSA JWK lacks one of "p", "q", "dp", "dq" and "qi", which Node.js needs')
  }
  const key = importJwk(jwk)
  if (!agrees(key, jwk)) throw mismatch()
  return key
}

function importJwk(jwk: Jwk): KeyObject {
  try {
    return createPrivateKey({ key: jwk as JsonWebKeyInput['key'], format: 'jwk' })
  } catch {
    throw isPublicHalfReadable(jwk)
      ? mismatch()
      : unreadable('the JWK is damaged, or of a kind that this Node.js cannot read')
  }
}

/** Newer releases of Node.js compare the halves on import, but do not say so in their error. */
function isPublicHalfReadable(jwk: Jwk): boolean {
  const { kty, crv, x, y, n, e, alg, pub } = jwk
  const key = { kty, crv, x, y, n, e, alg, pub } as JsonWebKeyInput['key']
  try {
    createPublicKey({ key, format: 'jwk' })
    return true
  } catch {
    return false
  }
}

/** Older releases of Node.js derive the public half of an OKP or AKP key and ignore the given one. */
function agrees(key: KeyObject, jwk: Jwk): boolean {
  if (jwk.kty !== 'OKP' && jwk.kty !== 'AKP') return true
  const member = jwk.kty === 'OKP' ? 'x' : 'pub'
  const stated = jwk[member]
  const own: Jwk = createPublicKey(key).export({ format: 'jwk' })
  return octets(stated).equals(octets(own[member]))
}

function octets(member: unknown): Buffer {
  return Buffer.from(String(member), 'base64url')
}
