import { algorithms, isJwsAlgorithm, type JwsAlgorithm } from '@countersign/core'
import { ownOptions } from '@countersign/core/backend'
import { refused } from './error.ts'
import type { KeyScheme, KeyUriParts, ParsedKeyUri } from './key-scheme.ts'
import { type AwsKmsKeyUri, awsKms } from './schemes/aws-kms.ts'
import { type AzureKeyVaultKeyUri, azureKeyVault } from './schemes/azure-key-vault.ts'
import { type FileKeyUri, file } from './schemes/file.ts'
import { type GcpKmsKeyUri, gcpKms } from './schemes/gcp-kms.ts'
import { type Pkcs11KeyUri, pkcs11 } from './schemes/pkcs11.ts'
import { readAttributes, type SplitUri, splitUri, textOf, writeAttributes } from './syntax.ts'

/** A parsed key URI of a built-in scheme, under the names of the backend's options. */
export type KeyUri = FileKeyUri | AwsKmsKeyUri | GcpKmsKeyUri | AzureKeyVaultKeyUri | Pkcs11KeyUri

/** Options of {@link parseKeyUri} and {@link formatKeyUri}. */
export interface KeyUriOptions<Key extends object> {
  /** Schemes to accept in addition to the built-in ones. */
  readonly schemes?: readonly KeyScheme<Key>[] | undefined
}

/**
 * Parses a key URI into the terms of the backend that has the key.
 *
 * The path identifies the key, and the query says how to reach and use it. Nothing is normalised, and case is kept.
 * Unknown, repeated, misplaced and empty attributes are refused, and so are fragments, bad percent escapes and
 * credentials. A PIN in the URI is not shown by `console.log` and `JSON.stringify`.
 *
 * @param uri - one of the forms in the package's README, or a URI of one of `schemes`.
 * @returns a frozen object; {@link formatKeyUri} writes it as a URI again.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` that says what was refused and what would be accepted, without values.
 * @throws `TypeError` when an argument is not of its type.
 *
 * @example
 * ```ts
 * import { parseKeyUri } from '@countersign/uri'
 *
 * const { scheme, alg } = parseKeyUri('file:///etc/agent/key.pem?alg=PS256')
 * console.log(scheme, alg) // file PS256
 * ```
 *
 * @see [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986), [RFC 7512](https://www.rfc-editor.org/rfc/rfc7512),
 *   [RFC 8089](https://www.rfc-editor.org/rfc/rfc8089)
 */
export function parseKeyUri<Key extends object = never>(
  uri: string,
  options: KeyUriOptions<Key> = {},
): KeyUri | ParsedKeyUri<Key> {
  const { schemes } = ownOptions(options)
  return readKeyUri(uri, knownSchemes(schemes)).parsed as KeyUri | ParsedKeyUri<Key>
}

/**
 * Writes a parsed key URI in its canonical form, without a PIN: this form may be shown and logged.
 *
 * @param uri - a result of {@link parseKeyUri}, or an object like it, such as `{ scheme: 'file', path }`.
 * @returns a URI that names the same key.
 * @throws `TypeError` when `uri` is not a parsed key URI, or its path is relative.
 *
 * @example
 * ```ts
 * import { formatKeyUri, parseKeyUri } from '@countersign/uri'
 *
 * console.log(formatKeyUri(parseKeyUri('file:/etc/agent/key%2Epem'))) // file:///etc/agent/key.pem
 * ```
 *
 * @see [RFC 3986 §6](https://www.rfc-editor.org/rfc/rfc3986#section-6)
 */
export function formatKeyUri<Key extends object = never>(
  uri: KeyUri | ParsedKeyUri<Key>,
  options: KeyUriOptions<Key> = {},
): string {
  const { schemes } = ownOptions(options)
  const scheme = knownSchemes(schemes).get(uri?.scheme)
  if (scheme === undefined) throw new TypeError('"uri" must be a parsed key URI of a known scheme')
  const { alg, kid } = uri
  const { path, attributes } = scheme.format(uri)
  const query = writeAttributes({ ...attributes, alg, kid }, '&')
  return `${scheme.name}:${path}${query === '' ? '' : `?${query}`}`
}

/** Schemes by name. */
export type KnownSchemes = ReadonlyMap<string, KeyScheme>

const builtIn: KnownSchemes = new Map(
  [file, awsKms, gcpKms, azureKeyVault, pkcs11].map((scheme: KeyScheme) => [scheme.name, scheme]),
)

/** Adds the caller's schemes to the built-in ones, which cannot be replaced. */
export function knownSchemes(schemes: readonly KeyScheme[] = []): KnownSchemes {
  if (!Array.isArray(schemes)) throw new TypeError('"schemes" must be an array')
  if (schemes.length === 0) return builtIn
  const known = new Map(builtIn)
  for (const scheme of schemes) {
    const { name, parse, format, open } = scheme ?? {}
    // A scheme of one letter would be the drive of a path on Windows.
    if (typeof name !== 'string' || !/^[a-z][a-z\d+.-]+$/.test(name)) {
      throw new TypeError(
        'Each of "schemes" must have a "name" of two or more characters: a lower-case letter, then letters, digits, "+", "-" or "."',
      )
    }
    if ([parse, format, open].some((method) => typeof method !== 'function')) {
      throw new TypeError(`The scheme "${name}" must have the methods parse, format and open`)
    }
    if (known.has(name)) {
      throw new TypeError(`The scheme "${name}" exists already; choose another name for it`)
    }
    known.set(name, scheme)
  }
  return known
}

/** Finds the scheme of a URI, and has it parse the URI. */
export function readKeyUri(
  uri: string,
  known: KnownSchemes,
): { readonly scheme: KeyScheme; readonly parsed: ParsedKeyUri } {
  if (typeof uri !== 'string') throw new TypeError('"uri" must be a string')
  const split = splitUri(uri)
  const scheme = known.get(split.scheme)
  if (scheme === undefined) throw notKeyUri(uri, known)
  return { scheme, parsed: parse(scheme, split) }
}

function parse(scheme: KeyScheme, { path, query }: SplitUri): ParsedKeyUri {
  const where = `the query of this ${scheme.name}: URI`
  let common: ReturnType<typeof commonOf> | undefined
  const attributes: KeyUriParts['attributes'] = (own = [], instead = {}) => {
    const accepted = [...own, 'alg', 'kid']
    const encoded = readAttributes(query, { where, separator: '&', accepted, instead })
    const values = own.flatMap((name) => {
      const value = textOf(encoded, name)
      return value === undefined ? [] : [[name, value]]
    })
    common = commonOf(textOf(encoded, 'alg'), textOf(encoded, 'kid'))
    return ownOptions(Object.fromEntries(values))
  }
  const key = scheme.parse({ path, attributes })
  // A scheme without own attributes does not have to call it.
  if (common === undefined) attributes()
  return freeze({ ...key, scheme: scheme.name, ...common })
}

/** The two attributes that every scheme has. */
function commonOf(
  alg: string | undefined,
  kid: string | undefined,
): { alg?: JwsAlgorithm; kid?: string } {
  if (alg !== undefined && !isJwsAlgorithm(alg)) {
    throw refused(
      `The attribute "alg" is not an algorithm that a signer can have; use one of ${Object.keys(algorithms).join(', ')}`,
    )
  }
  return { ...(alg === undefined ? {} : { alg }), ...(kid === undefined ? {} : { kid }) }
}

/** Shows the URI to write for the name of a key. Any other text stays out of the error, because it may be a PIN. */
function notKeyUri(text: string, known: KnownSchemes): Error {
  for (const scheme of known.values()) {
    const suggestion = scheme.suggest?.(text)
    if (suggestion === undefined || !isUriOf(scheme, suggestion.uri)) continue
    const { service, uri, note = '' } = suggestion
    return refused(`This is the name of a key in ${service}, not a key URI; write ${uri}${note}`)
  }
  const names = [...known.keys()].map((name) => `${name}:`).join(', ')
  return refused(
    `This is not a key URI; one starts with ${names}, in lower case. To add the scheme of another package, give it in "schemes"`,
  )
}

function isUriOf(scheme: KeyScheme, text: string): boolean {
  try {
    const split = splitUri(text)
    parse(scheme, split)
    return split.scheme === scheme.name
  } catch {
    return false
  }
}

function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freeze(member)
  }
  return Object.freeze(value)
}
