import { SignerError, type SignerErrorCode } from '@countersign/core'

/** Name of the backend in errors and diagnostics. */
export const backend = 'gcp-kms'

/** An error of this backend. */
export function failure(code: SignerErrorCode, message: string): SignerError {
  return new SignerError(code, message, { backend })
}

/** What came back is not what was asked for. */
export function notIntact(what: string): SignerError {
  return failure(
    'ERR_SIGNER_INTEGRITY',
    `Google Cloud KMS ${what}; it was discarded. Something between this process and the key may have changed it: check endpoint and proxy`,
  )
}
