import type { Signer } from '@countersign/core'
import * as uriPackage from '@countersign/uri'
import type { Frame } from './frame.ts'
import type { KeyOptions, OpenKey } from './key-option.ts'
import { keySecrets } from './key-secrets.ts'

/** The part of `@countersign/uri` that is used here. */
interface UriPackage {
  signerFromUri(
    uri: string,
    options: {
      readonly signal: AbortSignal
      readonly timeoutSeconds: number
      readonly pin: () => Promise<string>
      readonly passphrase: () => Promise<string>
    },
  ): Promise<Signer & Partial<AsyncDisposable>>
}

/** Opens the key of a URI; see `openKey`. */
export async function openUri(frame: Frame, uri: string, options: KeyOptions): Promise<OpenKey> {
  const { signerFromUri } = uriPackage as unknown as UriPackage
  const { signal, progress } = frame
  const { pin, passphrase } = keySecrets(frame, options)
  const signer = await progress('Opening the key', () =>
    signerFromUri(uri, { signal, timeoutSeconds: options.timeout, pin, passphrase }),
  )
  return {
    uri,
    signer,
    async [Symbol.asyncDispose]() {
      await signer[Symbol.asyncDispose]?.()
    },
  }
}
