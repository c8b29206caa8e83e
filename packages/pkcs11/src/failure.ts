import { SignerError, type SignerErrorCode, type SignerErrorOptions } from '@countersign/core'
import { describeReturnValue, returnValueOf } from './ckr.ts'

export const backend = 'pkcs11'

/** An error of this backend. */
export function failure(
  code: SignerErrorCode,
  message: string,
  options: Omit<SignerErrorOptions, 'backend'> = {},
): SignerError {
  return new SignerError(code, message, { ...options, backend })
}

/** Names what a call into the module threw. */
export function moduleFailure(error: unknown, doing: string): SignerError {
  if (SignerError.is(error)) return error
  const value = returnValueOf(error)
  if (value === undefined) return failure('ERR_SIGNER_BACKEND', `${doing} failed`, { cause: error })
  const { code, message } = describeReturnValue(value, doing)
  return failure(code, message, { cause: error })
}

/** Makes a call into the module, and names what it throws. */
export function guarded<T>(doing: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw moduleFailure(error, doing)
  }
}
