import { parseAwsKms } from './aws-kms-form.ts'
import { parseAzureKeyVault } from './azure-key-vault-form.ts'
import { parseFile } from './file-form.ts'
import { parseGcpKms } from './gcp-kms-form.ts'
import type { KeyUri } from './key-uri.ts'
import { parsePkcs11 } from './pkcs11-form.ts'
import { refused } from './refusal.ts'
import { type SplitUri, splitUri } from './split-uri.ts'

const forms: ReadonlyMap<string, (split: SplitUri) => KeyUri> = new Map<
  string,
  (split: SplitUri) => KeyUri
>([
  ['file', parseFile],
  ['awskms', parseAwsKms],
  ['gcpkms', parseGcpKms],
  ['azurekms', parseAzureKeyVault],
  ['pkcs11', parsePkcs11],
])

/**
 * Reads a key URI into the terms of the backend that has the key.
 *
 * The identity of the key stands in the path, how to reach it in the query. Nothing is normalised, and case is kept.
 * What the form does not have is refused: unknown, repeated, misplaced and empty attributes, fragments, bad percent
 * escapes, credentials. A PIN in it is out of sight of `console.log` and `JSON.stringify`.
 *
 * @param uri - one of the forms of the package's README.
 * @returns a frozen object; {@link formatKeyUri} is the way back.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` with what was refused and what would be accepted, and never a value.
 * @throws `TypeError` when `uri` is not a string.
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
export function parseKeyUri(uri: string): KeyUri {
  if (typeof uri !== 'string') throw new TypeError('"uri" must be a string')
  const split = splitUri(uri)
  const parse = forms.get(split.scheme)
  if (parse === undefined) throw notKeyUri(uri)
  return freeze(parse(split))
}

/** Names of keys as the consoles and tools of the services show them, and what turns each into a key URI. */
const serviceNames: readonly { service: string; name: RegExp; uri: string; note?: string }[] = [
  { service: 'AWS KMS', name: /^(?=arn:)/, uri: 'awskms:///' },
  {
    service: 'AWS KMS',
    name: /^(alias\/.+|mrk-[\da-f]{32}|[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/,
    uri: 'awskms:///$1?region=eu-west-1',
    note: ", with the key's own region",
  },
  {
    service: 'Google Cloud KMS',
    name: /^(?:(?:https:)?\/\/cloudkms\.googleapis\.com\/(?:v1\/)?)?(?=projects\/)/,
    uri: 'gcpkms://',
  },
  { service: 'Azure Key Vault', name: /^https:(?=\/\/)/, uri: 'azurekms:' },
]

/** Shows the URI to write for the name of a key. Any other text stays out of the error: it may be a PIN. */
function notKeyUri(text: string): Error {
  for (const { service, name, uri, note = '' } of serviceNames) {
    const suggestion = text.replace(name, uri)
    if (suggestion === text || !isKeyUri(suggestion)) continue
    return refused(
      `This is the name of a key in ${service}, not a key URI; write ${suggestion}${note}`,
    )
  }
  const schemes = [...forms.keys()].map((scheme) => `${scheme}:`).join(', ')
  return refused(`This is not a key URI; one starts with ${schemes}, in lower case`)
}

function isKeyUri(text: string): boolean {
  try {
    const split = splitUri(text)
    return forms.get(split.scheme)?.(split) !== undefined
  } catch {
    return false
  }
}

function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) if (typeof member === 'object') freeze(member)
  return Object.freeze(value)
}
