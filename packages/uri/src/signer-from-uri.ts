import type { ClosableSigner } from '@countersign/core'
import { closable, onAbort } from '@countersign/core/backend'
import type { KeyUri } from './key-uri.ts'
import { openAwsKms } from './open-aws-kms.ts'
import { openAzureKeyVault } from './open-azure-key-vault.ts'
import { openFile } from './open-file.ts'
import { openGcpKms } from './open-gcp-kms.ts'
import { openPkcs11 } from './open-pkcs11.ts'
import { checkOptions, type SignerFromUriOptions } from './options.ts'
import { parseKeyUri } from './parse-key-uri.ts'

/**
 * Makes a signer over the key that a URI names.
 *
 * The backend is imported when a URI names it, and no other one is.
 *
 * @param uri - one of the forms of the package's README.
 * @param options - secrets, credentials and limits, which do not belong in a string.
 * @returns a frozen signer, which has signed once.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when the URI is refused, when a file may be read by others, or when
 *   the backend is not installed; all others as the backend does.
 * @throws `TypeError` when an argument is not of its type; `signal.reason` when aborted.
 *
 * @example
 * ```ts
 * import { signerFromUri } from '@countersign/uri'
 *
 * const signer = await signerFromUri('file:///etc/agent/key.pem?alg=PS256')
 * console.log(signer.alg, signer.kid)
 * await signer.close()
 * ```
 *
 * @see [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986), [RFC 7512](https://www.rfc-editor.org/rfc/rfc7512)
 */
export async function signerFromUri(
  uri: string,
  options: SignerFromUriOptions = {},
): Promise<ClosableSigner> {
  checkOptions(options)
  const parsed = parseKeyUri(uri)
  const { signal } = options
  signal?.throwIfAborted()
  const opening = open(parsed, options)
  if (!signal) return opening
  return new Promise((resolve, reject) => {
    const leave = onAbort(signal, () => {
      leave()
      reject(signal.reason)
      // Nobody is left to close it.
      opening.then((signer) => signer.close()).catch(() => {})
    })
    opening.then(resolve, reject).finally(leave)
  })
}

async function open(uri: KeyUri, options: SignerFromUriOptions): Promise<ClosableSigner> {
  switch (uri.scheme) {
    case 'file':
      return closable(await openFile(uri, options), 'local')
    case 'awskms':
      return openAwsKms(uri, options)
    case 'gcpkms':
      return openGcpKms(uri, options)
    case 'azurekms':
      return openAzureKeyVault(uri, options)
    case 'pkcs11':
      return openPkcs11(uri, options)
  }
}
