import { posix, win32 } from 'node:path'
import { peerError } from '@countersign/core/backend'
import { backend, refused } from '../error.ts'
import { readFilePath, writeFilePath } from '../file-path.ts'
import type { KeyScheme, ParsedKeyUri, Secret } from '../key-scheme.ts'
import { readSecretText } from '../secret-file.ts'
import {
  badEscape,
  type EncodedAttributes,
  readAttributes,
  textOf,
  writeAttributes,
} from '../syntax.ts'

interface Pkcs11Key {
  /** Absolute path of the vendor's module. */
  readonly module: string
  readonly token: {
    readonly label?: string
    readonly manufacturer?: string
    readonly serial?: string
    readonly model?: string
    readonly slot?: number
  }
  readonly key: {
    readonly label?: string
    /** In hexadecimal. */
    readonly id?: string
  }
  /** Where the PIN is, if the URI says it. */
  readonly pin?: PinSource
}

/** `pkcs11:`, a key on a PKCS#11 token, RFC 7512. */
export type Pkcs11KeyUri = ParsedKeyUri<Pkcs11Key, 'pkcs11'>

/** Where a PIN is: in a file, in an environment variable, or in the URI itself, where it is not shown. */
export type PinSource =
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'value'; readonly reveal: () => string }

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
const queryAttributes = ['module-path', 'pin-source', 'pin-value'] as const

/** `pkcs11:token=…;object=…?module-path=…&pin-source=…`, RFC 7512. */
export const pkcs11: KeyScheme<Pkcs11Key> = {
  name: 'pkcs11',

  parse({ path: text, attributes }) {
    if (text.includes('/')) {
      throw refused(
        'A pkcs11: URI has no "/" before its query; write pkcs11:token=LABEL;object=LABEL, and a "/" in a value as %2F',
      )
    }
    const path = readAttributes(text, {
      where: 'the path of this pkcs11: URI',
      separator: ';',
      accepted: pathAttributes,
      instead: {
        ...each(
          ['library-manufacturer', 'library-version', 'library-description'],
          'the module is chosen by "module-path" alone',
        ),
        ...each(['slot-manufacturer', 'slot-description'], 'a slot is chosen by "slot-id" alone'),
        ...each([...queryAttributes, 'module-name', 'alg', 'kid'], 'it belongs after the "?"'),
      },
    })
    const query = attributes(queryAttributes, {
      'module-name': 'write "module-path" and the absolute path of the module',
      ...each(pathAttributes, 'it belongs before the "?"'),
    })
    return {
      module: readModule(query['module-path']),
      token: readToken(path),
      key: readKey(path),
      ...readPin(query['pin-source'], query['pin-value']),
    }
  },

  format({ module, token, key, pin }) {
    const path = writeAttributes(
      {
        token: token.label,
        manufacturer: token.manufacturer,
        serial: token.serial,
        model: token.model,
        'slot-id': token.slot === undefined ? undefined : String(token.slot),
        object: key.label,
      },
      ';',
    )
    const id = key.id === undefined ? [] : [`id=${key.id.replace(/../g, '%$&').toUpperCase()}`]
    return {
      path: [...(path === '' ? [] : [path]), ...id].join(';'),
      attributes: { 'module-path': module, 'pin-source': writePin(pin) },
    }
  },

  async open(uri, { pin: fallback, timeoutSeconds, signal, allowSharedFiles = false }) {
    const { module, token, key, alg, kid } = uri
    const pin = uri.pin === undefined ? fallback : pinFrom(uri.pin, allowSharedFiles)
    const { pkcs11Signer } = await loadPkcs11()
    return pkcs11Signer({ module, token, key, pin, alg, kid, timeoutSeconds, signal })
  },
}

async function loadPkcs11() {
  try {
    return await import('@countersign/pkcs11')
  } catch (cause) {
    throw peerError('@countersign/pkcs11', cause, backend)
  }
}

const { isAbsolute } = process.platform === 'win32' ? win32 : posix

function readModule(module: string | undefined): string {
  if (module !== undefined && isAbsolute(module)) return module
  throw refused(
    module === undefined
      ? 'This pkcs11: URI does not say which module has the token; write ?module-path= and the absolute path of the module'
      : 'The attribute "module-path" is not an absolute path; write the absolute path of the module',
  )
}

function readToken(path: EncodedAttributes): Pkcs11Key['token'] {
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
    throw refused('The attribute "slot-id" is not a slot number; write it in decimal digits')
  }
  return {
    ...(label === undefined ? {} : { label }),
    ...(manufacturer === undefined ? {} : { manufacturer }),
    ...(serial === undefined ? {} : { serial }),
    ...(model === undefined ? {} : { model }),
    ...(slot === undefined ? {} : { slot: Number(slot) }),
  }
}

function readKey(path: EncodedAttributes): Pkcs11Key['key'] {
  const type = textOf(path, 'type')
  if (type !== undefined && type !== 'private') {
    throw refused('The attribute "type" is not "private", and only private keys sign')
  }
  const label = textOf(path, 'object')
  const encodedId = path.get('id')
  if (label === undefined && encodedId === undefined) {
    throw refused('This pkcs11: URI names no key; write object=LABEL or id=%01%02, octet by octet')
  }
  return {
    ...(label === undefined ? {} : { label }),
    ...(encodedId === undefined ? {} : { id: readId(encodedId) }),
  }
}

/** Reads octets that are percent-encoded one by one, RFC 7512 §2.3, as hexadecimal. */
function readId(encoded: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(encoded)) throw badEscape('The attribute "id"')
  const latin1 = encoded.replace(/%../g, (pair) =>
    String.fromCharCode(Number.parseInt(pair.slice(1), 16)),
  )
  return Buffer.from(latin1, 'latin1').toString('hex')
}

const acceptedPinSources = 'write pin-source=file:/absolute/path or pin-source=env:NAME'

/** Reads where the PIN is, RFC 7512 §2.4. Environment variables are an addition of this package. */
function readPin(source: string | undefined, value: string | undefined): { pin?: PinSource } {
  if (source !== undefined && value !== undefined) {
    throw refused('This pkcs11: URI has both "pin-source" and "pin-value"; leave "pin-value" out')
  }
  if (value !== undefined) return { pin: { from: 'value', reveal: () => value } }
  return source === undefined ? {} : { pin: readPinSource(source) }
}

function readPinSource(source: string): PinSource {
  const colon = source.indexOf(':')
  const scheme = source.slice(0, Math.max(colon, 0))
  const rest = source.slice(colon + 1)
  if (scheme === 'file') {
    if (/[?#]/.test(rest)) {
      throw refused(`The attribute "pin-source" has more than a path; ${acceptedPinSources}`)
    }
    return { from: 'file', path: readFilePath(rest, 'The attribute "pin-source"') }
  }
  if (scheme === 'env' && /^[A-Za-z_]\w*$/.test(rest)) return { from: 'env', name: rest }
  throw refused(
    source.startsWith('|')
      ? `The attribute "pin-source" is a command, and commands in a URI are not run; ${acceptedPinSources}`
      : `The attribute "pin-source" names neither a file nor a variable; ${acceptedPinSources}`,
  )
}

/** The `pin-source` of a PIN that is not in the URI itself. */
function writePin(pin: PinSource | undefined): string | undefined {
  if (pin === undefined || pin.from === 'value') return undefined
  return pin.from === 'env' ? `env:${pin.name}` : writeFilePath(pin.path)
}

/** Returns the PIN, or a function that reads it again for each login, so that a changed PIN is found. */
export function pinFrom(pin: PinSource, allowSharedFiles: boolean): Secret {
  if (pin.from === 'value') return pin.reveal
  return pin.from === 'env'
    ? () => pinFromEnvironment(pin.name)
    : () =>
        readSecretText({
          path: pin.path,
          secret: 'PIN',
          absent: 'ERR_SIGNER_CONFIG',
          maxOctets: 1024,
          allowShared: allowSharedFiles,
        })
}

function pinFromEnvironment(name: string): string {
  const pin = process.env[name]
  if (pin) return pin
  throw refused(
    `The environment variable ${name}, which "pin-source" names, is not set; set it to the PIN`,
  )
}

function each(names: readonly string[], advice: string): { [name: string]: string } {
  return Object.fromEntries(names.map((name) => [name, advice]))
}
