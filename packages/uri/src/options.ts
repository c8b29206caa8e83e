/** A secret, or a function that is asked for it when it is needed. */
export type Secret = string | (() => string | Promise<string>)

/** What gives tokens of Microsoft Entra ID, as every credential of `@azure/identity` does. */
export interface AzureCredential {
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ token: string; expiresOnTimestamp: number } | null>
}

/** Options of `signerFromUri`: what does not belong in a string. */
export interface SignerFromUriOptions {
  /** Gives up loading; the promise then rejects with `signal.reason` as it is. It does not bind later signatures. */
  readonly signal?: AbortSignal | undefined
  /** Bound on one signature, and on loading a key that is elsewhere; 10 by default. Files have none. */
  readonly timeoutSeconds?: number | undefined
  /** The passphrase of an encrypted key file; only asked for when the file is encrypted. */
  readonly passphrase?: Secret | undefined
  /** The PIN of a `pkcs11:` URI that does not say where it is; a function is asked whenever a login is needed. */
  readonly pin?: Secret | undefined
  /** The credential of an `azurekms:` URI. */
  readonly azureCredential?: AzureCredential | undefined
  /** Whether files with a key or a PIN may be accessible to others than their owner; `false` by default. */
  readonly allowSharedFiles?: boolean | undefined
}

/** Refuses, with a `TypeError`, what is not of its type. */
export function checkOptions(options: SignerFromUriOptions): void {
  const { signal, passphrase, pin, azureCredential, allowSharedFiles } = options
  if (signal && typeof signal.addEventListener !== 'function')
    throw new TypeError('"signal" must be an AbortSignal')
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
