import { SignerError, type SignerErrorCode } from '@countersign/core'

/** Name of this package in errors. */
export const backend = 'uri'

/**
 * Refuses a URI. The message contains names and positions, and never a value: any value may be a PIN in the wrong place.
 */
export function refused(message: string): SignerError {
  return failure('ERR_SIGNER_CONFIG', message)
}

export function failure(code: SignerErrorCode, message: string, cause?: unknown): SignerError {
  return new SignerError(code, message, { backend, cause })
}
