import type { SignerBackend } from './create-signer.ts'
import { SignerError, type SignerErrorCode } from './error.ts'

/** How a vendor's error appears to the caller of a signer. */
export interface SignerFailure {
  readonly code: SignerErrorCode
  /** What was refused and what to do; nothing secret. */
  readonly message: string
  readonly retryable?: boolean
}

/** An error of a backend, by its own name for it. */
export function asSignerError(
  error: unknown,
  backend: Pick<SignerBackend, 'name' | 'describeError'>,
  doing: string,
): SignerError {
  if (SignerError.is(error)) return error
  const { code, message, retryable } = describeError(error, backend) ?? {
    code: 'ERR_SIGNER_BACKEND',
    message: `${backend.name} could not ${doing}; the cause says why`,
  }
  return new SignerError(code, message, { backend: backend.name, cause: error, retryable })
}

function describeError(
  error: unknown,
  backend: Pick<SignerBackend, 'describeError'>,
): SignerFailure | undefined {
  try {
    return backend.describeError?.(error)
  } catch {
    // An error that no one foresaw must not be lost to the one of naming it.
    return undefined
  }
}
