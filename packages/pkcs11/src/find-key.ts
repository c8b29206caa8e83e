import type { PKCS11 } from 'pkcs11js'
import { isConnectionLost, isStale, returnValueOf } from './ckr.ts'
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
import { keyIdentity } from './public-key.ts'
import { describeSelector, type KeySelector } from './selector.ts'
import { readUlong } from './ulong.ts'

/** A private key as long as the login lasts. */
export interface FoundKey {
  readonly handle: Buffer
  readonly alwaysAuthenticate: boolean
  readonly identity: string
  readonly description: KeyOnToken
}

/** What a token says of a key: octets in hexadecimal, so that it can travel. */
export interface KeyOnToken {
  readonly label: string
  readonly id: string
  readonly keyType: number
  readonly ecParams?: string | undefined
  readonly ecPoint?: string | undefined
  readonly modulus?: string | undefined
  readonly publicExponent?: string | undefined
  /** A certificate of the same ID, in DER. */
  readonly certificate?: string | undefined
}

/** A key with what its token can do. */
export interface KeyDescription extends KeyOnToken {
  /** What tells the key from every other one that may come to have its name. */
  readonly identity: string
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
    `No private key has ${describeSelector(selector)}; ${listed.length === 0 ? 'the token shows none: it may want a login, or another PIN' : `there are: ${listed.join('; ')}`}`,
  )
}

/** Reads what the token tells of a key and of the public objects that belong to it. */
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
      if (attribute?.value !== undefined) values.set(type, attribute.value)
    } catch (error) {
      // Not every object has every attribute; but to take a lost token for one would make it another key.
      const value = returnValueOf(error)
      if (value !== undefined && (isConnectionLost(value) || isStale(value))) throw error
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
