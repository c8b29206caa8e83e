import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { JwsAlgorithm } from '@countersign/core'
import type { PKCS11 } from 'pkcs11js'
import { CKR_OBJECT_HANDLE_INVALID, failure, lossBehind, returnValueOf } from './errors.ts'
import { readUlong } from './module.ts'
import { describeSelector, type KeySelector } from './options.ts'

const CKO_CERTIFICATE = 1
const CKO_PUBLIC_KEY = 2
const CKO_PRIVATE_KEY = 3

const CKK_RSA = 0
const CKK_EC = 3
const CKK_EC_EDWARDS = 0x40

const CKA_CLASS = 0
const CKA_LABEL = 3
const CKA_VALUE = 0x11
const CKA_KEY_TYPE = 0x100
const CKA_ID = 0x102
const CKA_MODULUS = 0x120
const CKA_PUBLIC_EXPONENT = 0x122
const CKA_EC_PARAMS = 0x180
const CKA_EC_POINT = 0x181
const CKA_ALWAYS_AUTHENTICATE = 0x202

/** A private key and its handle, which is valid until the login ends. */
export interface FoundKey {
  readonly handle: Buffer
  readonly alwaysAuthenticate: boolean
  readonly identity: string
  readonly description: KeyOnToken
}

/** The attributes of a key on a token. Octets are in hexadecimal. */
export interface KeyOnToken {
  readonly label: string
  readonly id: string
  readonly keyType: number
  readonly ecParams?: string | undefined
  readonly ecPoint?: string | undefined
  readonly modulus?: string | undefined
  readonly publicExponent?: string | undefined
  /** A certificate with the same ID, in DER. */
  readonly certificate?: string | undefined
}

/** A key, with the mechanisms of its token. */
export interface KeyDescription extends KeyOnToken {
  /** Identifies the key: another key may get the same name later. */
  readonly identity: string
  readonly mechanisms: readonly number[]
}

/** A key by its name, and the identity that it must have. */
export interface BoundKey {
  readonly selector: KeySelector
  readonly identity: string
}

type Attributes = ReadonlyMap<number, Buffer>

const most = 64

/** Finds the one private key that a selector means, or throws an error that lists the keys. */
export function findKey(native: PKCS11, session: Buffer, selector: KeySelector): FoundKey {
  const handles = findObjects(native, session, CKO_PRIVATE_KEY, selector)
  const [handle] = handles
  if (handle !== undefined && handles.length === 1) {
    const flag = read(native, session, handle, [CKA_ALWAYS_AUTHENTICATE])
    const description = describe(native, session, handle)
    return {
      handle,
      alwaysAuthenticate: flag.get(CKA_ALWAYS_AUTHENTICATE)?.[0] === 1,
      identity: keyIdentity(description),
      description,
    }
  }
  const candidates =
    handle === undefined ? findObjects(native, session, CKO_PRIVATE_KEY, {}) : handles
  const listed = candidates.map((candidate) => {
    const { label, id } = names(read(native, session, candidate, [CKA_LABEL, CKA_ID]))
    return `label ${JSON.stringify(label)}, id ${id === '' ? '(none)' : id}`
  })
  if (handle !== undefined) {
    throw failure(
      'ERR_SIGNER_CONFIG',
      `${handles.length} private keys have ${describeSelector(selector)}; choose by id: ${listed.join('; ')}`,
    )
  }
  throw failure(
    'ERR_SIGNER_KEY_NOT_FOUND',
    `No private key has ${describeSelector(selector)}; ${listed.length === 0 ? 'the token shows no key: it may require a login, or another PIN' : `there are: ${listed.join('; ')}`}`,
  )
}

/** Reads the attributes of a key, and of the public key and the certificate that belong to it. */
function describe(native: PKCS11, session: Buffer, handle: Buffer): KeyOnToken {
  const own = read(native, session, handle, [
    CKA_LABEL,
    CKA_ID,
    CKA_KEY_TYPE,
    CKA_EC_PARAMS,
    CKA_EC_POINT,
    CKA_MODULUS,
    CKA_PUBLIC_EXPONENT,
  ])
  const { label, id } = names(own)
  const selector = id === '' ? { label } : { id }
  const [publicHandle] = findObjects(native, session, CKO_PUBLIC_KEY, selector)
  const [certificateHandle] = id === '' ? [] : findObjects(native, session, CKO_CERTIFICATE, { id })
  const ofPublic =
    publicHandle === undefined
      ? own
      : read(native, session, publicHandle, [
          CKA_EC_PARAMS,
          CKA_EC_POINT,
          CKA_MODULUS,
          CKA_PUBLIC_EXPONENT,
        ])
  const hex = (attribute: number) => {
    const value = ofPublic.get(attribute) ?? own.get(attribute)
    return value === undefined || value.byteLength === 0 ? undefined : value.toString('hex')
  }
  const keyType = own.get(CKA_KEY_TYPE)
  const certificate =
    certificateHandle === undefined
      ? undefined
      : read(native, session, certificateHandle, [CKA_VALUE]).get(CKA_VALUE)
  return {
    label,
    id,
    keyType: keyType === undefined ? -1 : readUlong(keyType),
    ecParams: hex(CKA_EC_PARAMS),
    ecPoint: hex(CKA_EC_POINT),
    modulus: hex(CKA_MODULUS),
    publicExponent: hex(CKA_PUBLIC_EXPONENT),
    certificate: certificate?.toString('hex'),
  }
}

function findObjects(
  native: PKCS11,
  session: Buffer,
  objectClass: number,
  { label, id }: KeySelector,
): Buffer[] {
  native.C_FindObjectsInit(session, [
    { type: CKA_CLASS, value: objectClass },
    ...(label === undefined ? [] : [{ type: CKA_LABEL, value: label }]),
    ...(id === undefined ? [] : [{ type: CKA_ID, value: Buffer.from(id, 'hex') }]),
  ])
  try {
    return native.C_FindObjects(session, most)
  } finally {
    native.C_FindObjectsFinal(session)
  }
}

/** Reads attributes one by one: if a token does not have one of them, it returns none. */
function read(
  native: PKCS11,
  session: Buffer,
  object: Buffer,
  attributes: readonly number[],
): Attributes {
  const values = new Map<number, Buffer>()
  for (const type of attributes) {
    try {
      const [attribute] = native.C_GetAttributeValue(session, object, [{ type }])
      if (attribute?.value !== undefined) values.set(type, attribute.value)
    } catch (error) {
      // An object may lack an attribute. But after a lost connection, the key would look like another one.
      const isGone = returnValueOf(error) === CKR_OBJECT_HANDLE_INVALID
      if (isGone || lossBehind(error) === 'certain') throw error
    }
  }
  return values
}

function names(attributes: Attributes): { label: string; id: string } {
  return {
    label: attributes.get(CKA_LABEL)?.toString() ?? '',
    id: attributes.get(CKA_ID)?.toString('hex') ?? '',
  }
}

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
    `The key ${JSON.stringify(key.label)} has the PKCS#11 type 0x${key.keyType.toString(16)}${key.ecParams === undefined ? '' : ` with the parameters ${key.ecParams}`}; use RSA, EC (P-256, P-384, P-521, secp256k1) or Ed25519`,
  )
}

/** The public half: from the public object, or else from a certificate with the same ID. */
export function publicKeyOnToken(key: KeyOnToken): KeyObject | undefined {
  return (key.keyType === CKK_RSA ? rsaKey(key) : pointKey(key)) ?? certificateKey(key)
}

/** Identifies a key by its public half, or by its name if the token has no public half. */
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

/** The octets of a point, which some tokens wrap in a DER OCTET STRING. */
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
