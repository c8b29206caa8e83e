import { SignerError } from '@countersign/core'
import { type KeyUri, parseKeyUri, type Secret, signerFromUri } from '@countersign/uri'
import type { Frame } from './frame.ts'
import type { KeyOptions, OpenKey } from './key-option.ts'
import { askForSecret, givenSecret } from './key-secrets.ts'
import { UsageError } from './usage-error.ts'

/** Opens the key of a URI; see `openKey`. */
export async function openUri(frame: Frame, uri: string, options: KeyOptions): Promise<OpenKey> {
  const parsed = requireKeyUri(uri)
  const { signal } = frame
  const { timeout: timeoutSeconds, allowSharedFiles } = options
  const passphrase = async () =>
    (await givenSecret('passphrase', options)) ?? askForSecret('passphrase', frame)
  const open = (pin: Secret | undefined) =>
    frame.progress('Opening the key', () =>
      signerFromUri(uri, { pin, passphrase, signal, timeoutSeconds, allowSharedFiles }),
    )

  const pin = wantsPin(parsed) ? await givenSecret('PIN', options) : undefined
  const signer = await open(pin).catch(async (error: unknown) => {
    // Only now: a token may have a PIN pad of its own, or want no login at all.
    if (pin !== undefined || !wantsPin(parsed) || !isDenied(error)) throw error
    return open(await askForSecret('PIN', frame))
  })
  return { signer, [Symbol.asyncDispose]: () => signer.close() }
}

/** Refuses what is no key URI, which is a matter of the command line and not of the key. */
function requireKeyUri(uri: string): KeyUri {
  try {
    return parseKeyUri(uri)
  } catch (error) {
    throw SignerError.is(error) ? new UsageError(error.message) : error
  }
}

/** Whether the key is on a token, and its URI does not say where the PIN is. */
const wantsPin = (uri: KeyUri): boolean => uri.scheme === 'pkcs11' && uri.pin === undefined

const isDenied = (error: unknown): boolean =>
  SignerError.is(error) && error.code === 'ERR_SIGNER_ACCESS_DENIED'
