import { isLoopback } from '@countersign/core/backend'
import { refused } from './error.ts'
import type { KeyUriAttributes } from './key-scheme.ts'

/** The parts of a URI, as they are written. */
export interface SplitUri {
  readonly scheme: string
  /** Everything between the colon and the query. */
  readonly path: string
  readonly query: string | undefined
}

/** Splits a URI at its first colon and its first question mark, and changes nothing. */
export function splitUri(uri: string): SplitUri {
  const colon = uri.indexOf(':')
  const scheme = uri.slice(0, Math.max(colon, 0))
  // RFC 7512 §2.3 allows "|" in addition to the characters of RFC 3986.
  const refusedCharacter = (
    scheme === 'pkcs11' ? /[^\w\-.~:/?#[\]@!$&'()*+,;=%|]/ : /[^\w\-.~:/?#[\]@!$&'()*+,;=%]/
  ).exec(uri)
  if (refusedCharacter !== null) {
    throw refused(
      `The key URI has a character at position ${refusedCharacter.index + 1} that is not allowed in a URI; write it as percent-encoded UTF-8, a space as %20`,
    )
  }
  if (uri.includes('#')) {
    throw refused(
      'The key URI has a fragment, which names no part of a key; write a "#" in a value as %23',
    )
  }
  const mark = uri.indexOf('?')
  if (mark >= 0 && mark === uri.length - 1) {
    throw refused('The key URI has an empty query; leave the "?" out')
  }
  return mark < 0
    ? { scheme, path: uri.slice(colon + 1), query: undefined }
    : { scheme, path: uri.slice(colon + 1, mark), query: uri.slice(mark + 1) }
}

/** Refuses credentials before an "@", whether or not they are secret. */
export function refuseCredentials(authority: string): void {
  if (authority.includes('@')) {
    throw refused(
      'The key URI contains credentials ("…@"); leave them out: they come from the environment',
    )
  }
}

/** Whether a host, with or without a port, is this machine, written as the URL parser writes it. */
export function isThisMachine(host: string): boolean {
  const name = /^(\[.+\]|[^:]+)(?::[1-9]\d{0,4})?$/.exec(host)?.[1]
  if (name === undefined || !URL.canParse(`https://${host}`)) return false
  return new URL(`https://${name}`).hostname === name && isLoopback(name)
}

/** Attributes by name, still percent-encoded. */
export type EncodedAttributes = ReadonlyMap<string, string>

/** The attributes that one part of a URI can have. */
export interface AttributeRules {
  /** The part, for people: `the query of this file: URI`. */
  readonly where: string
  readonly separator: '&' | ';'
  readonly accepted: readonly string[]
  /** Attributes that are refused with advice, by name. */
  readonly instead?: { readonly [name: string]: string }
}

/** Reads `name=value` pairs, each name once. */
export function readAttributes(text: string | undefined, rules: AttributeRules): EncodedAttributes {
  const attributes = new Map<string, string>()
  if (text === undefined) return attributes
  const { where, separator, accepted, instead = {} } = rules
  const start = `${where.charAt(0).toUpperCase()}${where.slice(1)}`
  const advice = `it takes ${accepted.join(', ')}`
  for (const pair of text.split(separator)) {
    const equals = pair.indexOf('=')
    if (equals <= 0) {
      throw refused(
        `${start} has an attribute without a ${equals === 0 ? 'name' : 'value'}; ${advice}, each as name=value`,
      )
    }
    const name = pair.slice(0, equals)
    if (Object.hasOwn(instead, name)) {
      throw refused(
        `${start} has the attribute "${name}", which is not accepted there: ${instead[name]}`,
      )
    }
    if (!accepted.includes(name)) {
      throw refused(`${start} has ${describeUnknown(name, attributes, separator)}; ${advice}`)
    }
    if (attributes.has(name)) throw refused(`${start} has the attribute "${name}" twice`)
    if (equals === pair.length - 1) {
      throw refused(`The attribute "${name}" is empty; give its value or leave it out`)
    }
    if (separator === '&' && pair.includes(';')) {
      throw refused(
        `The attribute "${name}" has a ";" in it; attributes of a query are separated by "&", and a ";" in a value is written %3B`,
      )
    }
    attributes.set(name, pair.slice(equals + 1))
  }
  return attributes
}

/** Names an unknown attribute only if its name looks like one, and is not the rest of the value before it: of a PIN. */
function describeUnknown(name: string, before: EncodedAttributes, separator: '&' | ';'): string {
  const last = [...before.keys()].at(-1)
  if (last !== undefined) {
    const escaped = separator === '&' ? '%26' : '%3B'
    return `an unknown attribute after "${last}" (a "${separator}" in a value is written ${escaped})`
  }
  return /^[a-z][\w-]{0,31}$/i.test(name)
    ? `the unknown attribute "${name}"`
    : 'an unknown attribute'
}

/** Decodes the attribute of a name. */
export function textOf(attributes: EncodedAttributes, name: string): string | undefined {
  const encoded = attributes.get(name)
  if (encoded === undefined) return undefined
  const text = decodeText(encoded)
  if (text === undefined) throw badEscape(`The attribute "${name}"`)
  if (hasControls(text)) throw refused(`The attribute "${name}" has a control character`)
  return text
}

/** Writes those attributes that have a value. */
export function writeAttributes(attributes: KeyUriAttributes, separator: '&' | ';'): string {
  return Object.entries(attributes)
    .flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${encodeText(value, separator === ';' ? ':' : ':/')}`],
    )
    .join(separator)
}

/** Refuses an invalid percent escape. */
export function badEscape(what: string): Error {
  return refused(
    `${what} has a bad percent escape; write % and two hexadecimal digits for each octet of UTF-8, and %25 for "%" itself`,
  )
}

/** Decodes percent-encoded UTF-8, RFC 3986 §2.1 and §2.5; `undefined` when an escape is invalid. */
export function decodeText(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Percent-encodes all but unreserved characters and those of `plain`, which are allowed in every part of a URI. */
export function encodeText(text: string, plain: ':' | ':/'): string {
  const encoded = encodeURIComponent(text).replaceAll('%3A', ':')
  return plain === ':' ? encoded : encoded.replaceAll('%2F', '/')
}

/** Whether text has a control character, which the name of a key never has. */
export function hasControls(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this looks for them
  return /[\u0000-\u001f\u007f]/.test(text)
}
