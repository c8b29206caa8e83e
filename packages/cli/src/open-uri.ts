import { SignerError } from '@countersign/core'
import { parseKeyUri, signerFromUri } from '@countersign/uri'
import type { Frame } from './frame.ts'
import type { KeyOptions, OpenKey } from './key-option.ts'
import { keySecrets } from './key-secrets.ts'
import { UsageError } from './usage-error.ts'

/** Opens the key of a URI; see `openKey`. */
export async function openUri(frame: Frame, uri: string, options: KeyOptions): Promise<OpenKey> {
  requireKeyUri(uri)
  const { signal } = frame
  const { timeout: timeoutSeconds, allowSharedFiles } = options
  const signer = await frame.progress('Opening the key', () =>
    signerFromUri(uri, {
      ...keySecrets(frame, options),
      signal,
      timeoutSeconds,
      allowSharedFiles,
    }),
  )
  return { signer, [Symbol.asyncDispose]: () => signer.close() }
}

/** Refuses what is no key URI, which is a matter of the command line and not of the key. */
function requireKeyUri(uri: string): void {
  try {
    parseKeyUri(uri)
  } catch (error) {
    throw SignerError.is(error) ? new UsageError(error.message) : error
  }
}
