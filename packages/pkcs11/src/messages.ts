import { SignerError } from '@countersign/core'
import type { Mechanism } from './algorithms.ts'
import { failure } from './errors.ts'
import type { BoundKey } from './key.ts'
import type { KeySelector, TokenLocation, TokenSelector } from './options.ts'
import type { Login } from './token.ts'

/** A request of the parent. Octets are in base64. */
export type Request =
  | { readonly op: 'identify'; readonly location: TokenLocation; readonly token: TokenSelector }
  | { readonly op: 'open'; readonly login: Login | undefined }
  | { readonly op: 'describeKey'; readonly selector: KeySelector }
  | {
      readonly op: 'sign'
      readonly key: BoundKey
      readonly mechanism: Mechanism
      readonly data: string
    }
  /** The caller of the request with this number does not wait any more. */
  | { readonly op: 'forget' }
  | { readonly op: 'close' }

/** A request and its number, which its answer repeats. */
export type NumberedRequest = Request & { readonly id: number }

/** The answer to the request with the same number. */
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SentError }

/**
 * Makes a function that collects items, and sends those of one turn of the event loop as one message. Under load, few
 * messages carry many requests or answers.
 */
export function batch<T>(send: (items: readonly T[]) => void): (item: T) => void {
  let items: T[] = []
  function flush(): void {
    const batched = items
    items = []
    send(batched)
  }
  return (item) => {
    items.push(item)
    if (items.length === 1) setImmediate(flush)
  }
}

/** An error that is sent between the processes. */
export interface SentError {
  readonly code: SignerError['code']
  readonly message: string
  readonly retryable: boolean
  /** Message and return value of its cause. */
  readonly cause?: { readonly message: string; readonly code?: number | undefined } | undefined
}

/** Packs an error, with only those members that contain no secret. */
export function packError(error: unknown): SentError {
  const known = SignerError.is(error) ? error : failure('ERR_SIGNER_BACKEND', 'The token failed')
  const { code, message, retryable } = known
  const cause = (known === error ? known.cause : error) as
    | { readonly message?: unknown; readonly code?: unknown }
    | undefined
  if (cause === undefined) return { code, message, retryable }
  const value = typeof cause.code === 'number' ? cause.code : undefined
  return { code, message, retryable, cause: { message: String(cause.message), code: value } }
}

/** Makes the error that was sent. */
export function unpackError({ code, message, retryable, cause }: SentError): SignerError {
  if (cause === undefined) return failure(code, message, { retryable })
  const inner = Object.assign(
    new Error(cause.message),
    cause.code === undefined ? {} : { code: cause.code },
  )
  return failure(code, message, { retryable, cause: inner })
}
