import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { JwsAlgorithm } from '@countersign/core'
import { CKK_EC, CKK_EC_EDWARDS, CKK_RSA } from './constants.ts'
import { failure } from './failure.ts'
import type { KeyOnToken } from './find-key.ts'

interface Curve {
  readonly crv: string
  readonly alg: JwsAlgorithm
  readonly width: number
}

/** CKA_EC_PARAMS, in hexadecimal: the curve's OID, or for Ed25519 its name as a PrintableString. */
const curves: { readonly [parameters: string]: Curve } = {
  '06082a8648ce3d030107': { crv: 'P-256', alg: 'ES256', width: 32 },
  '06052b81040022': { crv: 'P-384', alg: 'ES384', width: 48 },
  '06052b81040023': { crv: 'P-521', alg: 'ES512', width: 66 },
  '06052b8104000a': { crv: 'secp256k1', alg: 'ES256K', width: 32 },
  '06032b6570': { crv: 'Ed25519', alg: 'EdDSA', width: 32 },
  '130c656477617264733235353139': { crv: 'Ed25519', alg: 'EdDSA', width: 32 },
}

/** The algorithms that a key can be used with, the default first. */
export function algorithmsOf(key: KeyOnToken): readonly JwsAlgorithm[] {
  if (key.keyType === CKK_RSA) return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
  const curve = curves[key.ecParams ?? '']
  if ((key.keyType === CKK_EC || key.keyType === CKK_EC_EDWARDS) && curve !== undefined) {
    return curve.crv === 'Ed25519' ? ['EdDSA', 'Ed25519'] : [curve.alg]
  }
  throw failure(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `The key ${JSON.stringify(key.label)} is of the PKCS#11 type 0x${key.keyType.toString(16)}${key.ecParams === undefined ? '' : ` with the parameters ${key.ecParams}`}; use RSA, EC (P-256, P-384, P-521, secp256k1) or Ed25519`,
  )
}

/** The public half as the token has it: in the public object, else in a certificate of the same ID. */
export function publicKeyOnToken(key: KeyOnToken): KeyObject | undefined {
  return (key.keyType === CKK_RSA ? rsaKey(key) : pointKey(key)) ?? certificateKey(key)
}

/** What tells a key from another one of its name: its public half, or where the token has none, its name. */
export function keyIdentity(key: KeyOnToken): string {
  const { keyType, ecParams, label, id } = key
  const half = publicKeyOnToken(key)?.export({ format: 'der', type: 'spki' }).toString('base64')
  return createHash('sha256')
    .update(JSON.stringify([keyType, ecParams, half ?? [label, id]]))
    .digest('base64url')
}

function rsaKey({ modulus, publicExponent }: KeyOnToken): KeyObject | undefined {
  if (modulus === undefined || publicExponent === undefined) return undefined
  const n = Buffer.from(modulus, 'hex').toString('base64url')
  const e = Buffer.from(publicExponent, 'hex').toString('base64url')
  return readable(() => createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' }))
}

function pointKey({ ecParams, ecPoint }: KeyOnToken): KeyObject | undefined {
  const curve = curves[ecParams ?? '']
  if (curve === undefined || ecPoint === undefined) return undefined
  const { crv, width } = curve
  const point = unwrapped(Buffer.from(ecPoint, 'hex'), crv === 'Ed25519' ? width : 2 * width + 1)
  if (point === undefined) return undefined
  const base64url = (start: number) => point.toString('base64url', start, start + width)
  const key =
    crv === 'Ed25519'
      ? { kty: 'OKP', crv, x: base64url(0) }
      : { kty: 'EC', crv, x: base64url(1), y: base64url(1 + width) }
  return readable(() => createPublicKey({ key, format: 'jwk' }))
}

/** The octets of a point, which some tokens wrap in a DER OCTET STRING and others do not. */
function unwrapped(point: Buffer, length: number): Buffer | undefined {
  if (point.byteLength === length) return point
  const header = length < 0x80 ? [0x04, length] : [0x04, 0x81, length]
  const wrapped = point.byteLength === header.length + length
  return wrapped && header.every((octet, at) => point[at] === octet)
    ? point.subarray(header.length)
    : undefined
}

function certificateKey({ certificate }: KeyOnToken): KeyObject | undefined {
  if (certificate === undefined) return undefined
  return readable(() => new X509Certificate(Buffer.from(certificate, 'hex')).publicKey)
}

function readable(read: () => KeyObject): KeyObject | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
