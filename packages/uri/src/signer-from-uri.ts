import type { ClosableSigner } from '@countersign/core'
import { ownOptions, requireSignal, unlessAborted } from '@countersign/core/backend'
import type { KeyScheme, OpenKeyOptions } from './key-scheme.ts'
import { knownSchemes, readKeyUri } from './key-uri.ts'

/** Options of {@link signerFromUri}: what does not belong in a string. */
export interface SignerFromUriOptions extends OpenKeyOptions {
  /** Schemes to accept in addition to the built-in ones, such as those of another package. */
  readonly schemes?: readonly KeyScheme[] | undefined
}

/**
 * Makes a signer with the key that a URI names.
 *
 * Only the backend that the URI names is imported.
 *
 * @param uri - one of the forms in the package's README, or a URI of one of `schemes`.
 * @param options - secrets, credentials, limits and further schemes.
 * @returns a frozen signer, which has signed once.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when the URI is refused, when a file is accessible to other users, or
 *   when the backend is not installed; all other codes as the backend does.
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
  const { schemes, ...rest } = ownOptions(options)
  const settings = ownOptions(rest)
  requireOptions(settings)
  const { scheme, parsed } = readKeyUri(uri, knownSchemes(schemes))
  const { signal } = settings
  signal?.throwIfAborted()
  const opening = (async () => scheme.open(ownOptions(parsed), settings))()
  try {
    return await unlessAborted(opening, signal)
  } catch (error) {
    // No caller closes a key that is opened after an abort.
    opening.then((signer) => signer.close()).catch(() => {})
    throw error
  }
}

function requireOptions(options: OpenKeyOptions): void {
  const { signal, passphrase, pin, azureCredential, allowSharedFiles } = options
  requireSignal(signal)
  requireSecret(passphrase, 'passphrase')
  requireSecret(pin, 'pin')
  if (azureCredential !== undefined && typeof azureCredential?.getToken !== 'function')
    throw new TypeError('"azureCredential" must have a method getToken')
  if (allowSharedFiles !== undefined && typeof allowSharedFiles !== 'boolean')
    throw new TypeError('"allowSharedFiles" must be a boolean')
}

function requireSecret(value: unknown, option: string): void {
  if (value !== undefined && typeof value !== 'string' && typeof value !== 'function')
    throw new TypeError(`"${option}" must be a string or a function that returns one`)
}
