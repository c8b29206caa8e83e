import { SignerError } from '@countersign/core'
import {
  type KeyScheme,
  type ParsedKeyUri,
  parseKeyUri,
  type Secret,
  signerFromUri,
} from '@countersign/uri'
import type { Frame } from './frame.ts'
import type { KeyOptions, OpenKey } from './key-option.ts'
import { askForSecret, givenSecret } from './key-secrets.ts'
import { loadSchemes } from './load-schemes.ts'
import { UsageError } from './usage-error.ts'

/** Opens the key of a URI; see `openKey`. */
export async function openUri(frame: Frame, uri: string, options: KeyOptions): Promise<OpenKey> {
  const schemes = await loadSchemes(options.scheme)
  const parsed = requireKeyUri(uri, schemes)
  const { signal } = frame
  const { timeout: timeoutSeconds, allowSharedFiles } = options
  const passphrase = async () =>
    (await givenSecret('passphrase', options)) ?? askForSecret('passphrase', frame)
  const open = (pin: Secret | undefined) =>
    frame.progress('Opening the key', () =>
      signerFromUri(uri, { pin, passphrase, signal, timeoutSeconds, allowSharedFiles, schemes }),
    )

  const pin = wantsPin(parsed) ? await givenSecret('PIN', options) : undefined
  const signer = await open(pin).catch(async (error: unknown) => {
    // Only now: a token may have a PIN pad of its own, or want no login at all.
    if (pin !== undefined || !wantsPin(parsed) || !isDenied(error)) throw error
    return open(await askForSecret('PIN', frame))
  })
  return { signer, [Symbol.asyncDispose]: () => signer.close() }
}

/** Refuses a URI or a scheme that cannot be used, as an error of the command line and not of the key. */
function requireKeyUri(uri: string, schemes: readonly KeyScheme[]): ParsedKeyUri {
  try {
    return parseKeyUri(uri, { schemes })
  } catch (error) {
    const isUsage = SignerError.is(error) || error instanceof TypeError
    throw isUsage ? new UsageError(error.message) : error
  }
}

/** Whether the key is on a token, and its URI does not say where the PIN is. */
const wantsPin = (uri: ParsedKeyUri): boolean => uri.scheme === 'pkcs11' && !('pin' in uri)

const isDenied = (error: unknown): boolean =>
  SignerError.is(error) && error.code === 'ERR_SIGNER_ACCESS_DENIED'
