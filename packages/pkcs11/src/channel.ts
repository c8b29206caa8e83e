import { SignerError } from '@countersign/core'
import { failure } from './failure.ts'
import type { Login, Permission } from './login.ts'
import type { Mechanism } from './mechanism.ts'
import type { BoundKey, KeySelector } from './selector.ts'
import type { TokenLocation } from './token-port.ts'

/** What goes to the token's process. Octets are base64. */
export type Request =
  | { readonly id: number; readonly op: 'identify'; readonly location: TokenLocation }
  | { readonly id: number; readonly op: 'open'; readonly login: Login | undefined }
  | { readonly id: number; readonly op: 'logInAgain'; readonly permission: Permission }
  | { readonly id: number; readonly op: 'doNotLogIn'; readonly error: SentError }
  | { readonly id: number; readonly op: 'describeKey'; readonly selector: KeySelector }
  | {
      readonly id: number
      readonly op: 'sign'
      readonly key: BoundKey
      readonly mechanism: Mechanism
      readonly data: string
    }
  /** Nobody waits for the answer to the request of this number any more. */
  | { readonly id: number; readonly op: 'forget' }
  | { readonly id: number; readonly op: 'close' }

/** Most requests, and most answers, in one message: under load, few messages carry many. */
export const partSize = 4

/** A message to the token's process. */
export interface Requests {
  readonly requests: readonly Request[]
  /** Whether nothing else is under way. */
  readonly alone: boolean
}

/** What comes back: answers, and the wish to log in once more. */
export type Answer =
  | { readonly wish: 'login' }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SentError }

interface SentError {
  readonly code: SignerError['code']
  readonly message: string
  readonly retryable: boolean
  /** Name and value of the PKCS#11 error behind it. */
  readonly cause?: { readonly message: string; readonly code?: number | undefined } | undefined
}

/** An error as it travels. Only what is known to hold no secret is taken along. */
export function packError(error: unknown): SentError {
  const known = SignerError.is(error) ? error : failure('ERR_SIGNER_BACKEND', 'The token failed')
  const { code, message, retryable } = known
  const cause = (known.cause ?? (known === error ? undefined : error)) as
    | { readonly message?: unknown; readonly code?: unknown }
    | undefined
  if (cause === undefined) return { code, message, retryable }
  const value = typeof cause.code === 'number' ? cause.code : undefined
  return { code, message, retryable, cause: { message: String(cause.message), code: value } }
}

/** The error that was sent. */
export function unpackError({ code, message, retryable, cause }: SentError): SignerError {
  if (cause === undefined) return failure(code, message, { retryable })
  const inner = Object.assign(
    new Error(cause.message),
    cause.code === undefined ? {} : { code: cause.code },
  )
  return failure(code, message, { retryable, cause: inner })
}
