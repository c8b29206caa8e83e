import { algorithms, isJwsAlgorithm, type JwsAlgorithm } from '@countersign/core'
import { decodeText, encodeText, hasControls } from './percent.ts'
import { refused } from './refusal.ts'

/** Attributes by name, still percent-encoded. */
export type Attributes = ReadonlyMap<string, string>

/** What one part of a URI may say. */
export interface AttributeRules {
  /** The part for people, such as `the query of a file: URI`. */
  readonly where: string
  readonly separator: '&' | ';'
  readonly accepted: readonly string[]
  /** Attributes that are known and not taken, each with what to do instead. */
  readonly instead?: { readonly [name: string]: string }
}

/** Reads `name=value` pairs, each name once. */
export function readAttributes(text: string | undefined, rules: AttributeRules): Attributes {
  const attributes = new Map<string, string>()
  if (text === undefined) return attributes
  const { where, separator, accepted, instead = {} } = rules
  const among = `it takes ${accepted.join(', ')}`
  for (const pair of text.split(separator)) {
    const equals = pair.indexOf('=')
    if (equals <= 0) {
      throw refused(
        `${capital(where)} has an attribute without a ${equals === 0 ? 'name' : 'value'}; ${among}, each as name=value`,
      )
    }
    const name = pair.slice(0, equals)
    if (Object.hasOwn(instead, name)) {
      throw refused(
        `${capital(where)} has the attribute "${name}", which is not taken: ${instead[name]}`,
      )
    }
    if (!accepted.includes(name)) {
      throw refused(`${capital(where)} has ${unknown(name, attributes, separator)}; ${among}`)
    }
    if (attributes.has(name)) throw refused(`${capital(where)} has the attribute "${name}" twice`)
    if (equals === pair.length - 1) {
      throw refused(`The attribute "${name}" is empty; leave it out, or give its value`)
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

/** Decodes the attribute of a name. */
export function textOf(attributes: Attributes, name: string): string | undefined {
  const encoded = attributes.get(name)
  if (encoded === undefined) return undefined
  const text = decodeText(encoded)
  if (text === undefined) throw badEscape(`The attribute "${name}"`)
  if (hasControls(text)) throw refused(`The attribute "${name}" has a control character`)
  return text
}

/** The two attributes that every form has. */
export function commonOf(attributes: Attributes): { alg?: JwsAlgorithm; kid?: string } {
  const alg = textOf(attributes, 'alg')
  const kid = textOf(attributes, 'kid')
  if (alg !== undefined && !isJwsAlgorithm(alg)) {
    throw refused(
      `The attribute "alg" is not an algorithm that a signer can have; use one of ${Object.keys(algorithms).join(', ')}`,
    )
  }
  return { ...(alg === undefined ? {} : { alg }), ...(kid === undefined ? {} : { kid }) }
}

/** Writes a query of those attributes that have a value. */
export function writeQuery(attributes: { readonly [name: string]: string | undefined }): string {
  const pairs = Object.entries(attributes).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeText(value, ':/')}`],
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

/** An escape that is none. */
export function badEscape(what: string): Error {
  return refused(
    `${what} has a bad percent escape; write % and two hexadecimal digits for each octet of UTF-8, and %25 for "%" itself`,
  )
}

/** An unknown name; but what follows another attribute may be the rest of its value, of a PIN for one. */
function unknown(name: string, before: Attributes, separator: '&' | ';'): string {
  const last = [...before.keys()].at(-1)
  if (last !== undefined) {
    const escaped = separator === '&' ? '%26' : '%3B'
    return `an unknown attribute after "${last}" (a "${separator}" in a value is written ${escaped})`
  }
  return /^[a-z][\w-]{0,31}$/i.test(name)
    ? `the unknown attribute "${name}"`
    : 'an unknown attribute'
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`
}
