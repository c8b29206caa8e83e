import { formatAwsKms } from './aws-kms-form.ts'
import { formatAzureKeyVault } from './azure-key-vault-form.ts'
import { formatFile } from './file-form.ts'
import { formatGcpKms } from './gcp-kms-form.ts'
import type { KeyUri } from './key-uri.ts'
import { formatPkcs11 } from './pkcs11-form.ts'

/**
 * Writes a key URI in its canonical form, without a PIN that stands in it: what may be shown and logged.
 *
 * @param uri - what {@link parseKeyUri} returned, or the like of it, such as `{ scheme: 'file', path }`.
 * @returns a URI that names the same key.
 * @throws `TypeError` when it is none, or its path is relative.
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
export function formatKeyUri(uri: KeyUri): string {
  switch (uri?.scheme) {
    case 'file':
      return formatFile(uri)
    case 'awskms':
      return formatAwsKms(uri)
    case 'gcpkms':
      return formatGcpKms(uri)
    case 'azurekms':
      return formatAzureKeyVault(uri)
    case 'pkcs11':
      return formatPkcs11(uri)
    default:
      throw new TypeError('"uri" must be a parsed key URI')
  }
}
