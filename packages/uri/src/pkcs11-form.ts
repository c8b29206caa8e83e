import { posix, win32 } from 'node:path'
import { type Attributes, badEscape, commonOf, readAttributes, textOf } from './attributes.ts'
import type { Pkcs11KeyUri } from './key-uri.ts'
import { decodeOctets, encodeText } from './percent.ts'
import { readPin, writePin } from './pin-source.ts'
import { refused } from './refusal.ts'
import type { SplitUri } from './split-uri.ts'

const pathAttributes = [
  'token',
  'manufacturer',
  'serial',
  'model',
  'slot-id',
  'object',
  'id',
  'type',
]
const queryAttributes = ['module-path', 'pin-source', 'pin-value', 'alg', 'kid']

const ofLibrary = 'the module is chosen by "module-path" alone'
const ofSlot = 'a slot is chosen by "slot-id" alone'
const inQuery = 'it belongs after the "?"'
const inPath = 'it belongs before the "?"'

const isAbsolute = process.platform === 'win32' ? win32.isAbsolute : posix.isAbsolute

/** Reads `pkcs11:token=…;object=…?module-path=…&pin-source=…`, RFC 7512. */
export function parsePkcs11({ hierarchy, query }: SplitUri): Pkcs11KeyUri {
  if (hierarchy.includes('/')) {
    throw refused(
      'A pkcs11: URI has no "/" before its query; write pkcs11:token=LABEL;object=LABEL, and a "/" in a value as %2F',
    )
  }
  const path = readAttributes(hierarchy, {
    where: 'the path of a pkcs11: URI',
    separator: ';',
    accepted: pathAttributes,
    instead: {
      ...all(['library-manufacturer', 'library-version', 'library-description'], ofLibrary),
      ...all(['slot-manufacturer', 'slot-description'], ofSlot),
      ...all([...queryAttributes, 'module-name'], inQuery),
    },
  })
  const attributes = readAttributes(query, {
    where: 'the query of a pkcs11: URI',
    separator: '&',
    accepted: queryAttributes,
    instead: {
      'module-name': 'write "module-path" and the absolute path of the module',
      ...all(pathAttributes, inPath),
    },
  })
  return {
    scheme: 'pkcs11',
    module: readModule(attributes),
    token: readToken(path),
    key: readKey(path),
    ...readPin(attributes),
    ...commonOf(attributes),
  }
}

export function formatPkcs11({ module, token, key, pin, alg, kid }: Pkcs11KeyUri): string {
  const path = write(';', {
    token: token.label,
    manufacturer: token.manufacturer,
    serial: token.serial,
    model: token.model,
    'slot-id': token.slot === undefined ? undefined : String(token.slot),
    object: key.label,
  })
  const id = key.id === undefined ? [] : [`id=${key.id.replace(/../g, '%$&').toUpperCase()}`]
  const query = write('&', { 'module-path': module, 'pin-source': writePin(pin), alg, kid })
  return `pkcs11:${[...(path === '' ? [] : [path]), ...id].join(';')}?${query}`
}

function readModule(attributes: Attributes): string {
  const module = textOf(attributes, 'module-path')
  if (module !== undefined && isAbsolute(module)) return module
  throw refused(
    module === undefined
      ? 'This pkcs11: URI does not say which module has the token; write ?module-path= and the absolute path of the module'
      : 'The attribute "module-path" is no absolute path; write the one of the module itself',
  )
}

function readToken(path: Attributes): Pkcs11KeyUri['token'] {
  const label = textOf(path, 'token')
  const manufacturer = textOf(path, 'manufacturer')
  const serial = textOf(path, 'serial')
  const model = textOf(path, 'model')
  const slot = textOf(path, 'slot-id')
  if (label === undefined && serial === undefined && slot === undefined) {
    throw refused(
      'This pkcs11: URI names no token; write token=LABEL, serial=NUMBER or slot-id=NUMBER',
    )
  }
  if (slot !== undefined && !(/^\d{1,16}$/.test(slot) && Number.isSafeInteger(Number(slot)))) {
    throw refused('The attribute "slot-id" is no slot number; write it in decimal digits')
  }
  return {
    ...(label === undefined ? {} : { label }),
    ...(manufacturer === undefined ? {} : { manufacturer }),
    ...(serial === undefined ? {} : { serial }),
    ...(model === undefined ? {} : { model }),
    ...(slot === undefined ? {} : { slot: Number(slot) }),
  }
}

function readKey(path: Attributes): Pkcs11KeyUri['key'] {
  const type = textOf(path, 'type')
  if (type !== undefined && type !== 'private') {
    throw refused('The attribute "type" is not "private", and no other kind of object signs')
  }
  const label = textOf(path, 'object')
  const encoded = path.get('id')
  const id = encoded === undefined ? undefined : decodeOctets(encoded)
  if (encoded !== undefined && id === undefined) throw badEscape('The attribute "id"')
  if (label === undefined && id === undefined) {
    throw refused('This pkcs11: URI names no key; write object=LABEL or id=%01%02, octet by octet')
  }
  return {
    ...(label === undefined ? {} : { label }),
    ...(id === undefined ? {} : { id: id.toString('hex') }),
  }
}

function write(
  separator: ';' | '&',
  attributes: { readonly [name: string]: string | undefined },
): string {
  return Object.entries(attributes)
    .flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${encodeText(value, separator === ';' ? ':' : ':/')}`],
    )
    .join(separator)
}

function all(names: readonly string[], why: string): { [name: string]: string } {
  return Object.fromEntries(names.map((name) => [name, why]))
}
