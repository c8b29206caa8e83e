import type { PKCS11 } from 'pkcs11js'
import {
  CKA_ALWAYS_AUTHENTICATE,
  CKA_CLASS,
  CKA_EC_PARAMS,
  CKA_EC_POINT,
  CKA_ID,
  CKA_KEY_TYPE,
  CKA_LABEL,
  CKA_MODULUS,
  CKA_PUBLIC_EXPONENT,
  CKA_VALUE,
  CKO_CERTIFICATE,
  CKO_PRIVATE_KEY,
  CKO_PUBLIC_KEY,
} from './constants.ts'
import { failure } from './failure.ts'
import { describeSelector, type KeySelector } from './selector.ts'

/** A private key in a session, as long as the session lasts. */
export interface FoundKey {
  readonly handle: Buffer
  readonly alwaysAuthenticate: boolean
}

/** What a token says of a key: octets in hexadecimal, so that it can travel. */
export interface KeyDescription {
  readonly label: string
  readonly id: string
  readonly keyType: number
  readonly ecParams?: string | undefined
  readonly ecPoint?: string | undefined
  readonly modulus?: string | undefined
  readonly publicExponent?: string | undefined
  /** A certificate of the same ID, in DER. */
  readonly certificate?: string | undefined
  readonly mechanisms: readonly number[]
}

type Attributes = ReadonlyMap<number, Buffer>

const most = 64

/** Finds the one private key that a selector means, or says which there are. */
export function findKey(native: PKCS11, session: Buffer, selector: KeySelector): FoundKey {
  const handles = findObjects(native, session, CKO_PRIVATE_KEY, selector)
  const [handle] = handles
  if (handle !== undefined && handles.length === 1) {
    const flag = read(native, session, handle, [CKA_ALWAYS_AUTHENTICATE])
    return { handle, alwaysAuthenticate: flag.get(CKA_ALWAYS_AUTHENTICATE)?.[0] === 1 }
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
    `No private key has ${describeSelector(selector)}; ${listed.length === 0 ? 'the token shows none: it may want a login, or another PIN' : `there are: ${listed.join('; ')}`}`,
  )
}

/** Reads what the token tells of a key and of the public objects that belong to it. */
export function describeKey(
  native: PKCS11,
  session: Buffer,
  key: FoundKey,
  mechanisms: readonly number[],
): KeyDescription {
  const own = read(native, session, key.handle, [
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
  const certificate =
    certificateHandle === undefined
      ? undefined
      : read(native, session, certificateHandle, [CKA_VALUE]).get(CKA_VALUE)
  return {
    label,
    id,
    keyType: Number(own.get(CKA_KEY_TYPE)?.readUInt32LE() ?? -1),
    ecParams: hex(CKA_EC_PARAMS),
    ecPoint: hex(CKA_EC_POINT),
    modulus: hex(CKA_MODULUS),
    publicExponent: hex(CKA_PUBLIC_EXPONENT),
    certificate: certificate?.toString('hex'),
    mechanisms,
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

/** Reads attributes one by one: a token answers none of them if it lacks one. */
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
      if (attribute !== undefined) values.set(type, attribute.value)
    } catch {
      // Not every object has every attribute.
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
