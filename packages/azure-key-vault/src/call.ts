import { SignerError, type SignerFailure } from '@countersign/core'
import {
  type RetriedCalls,
  sanitize,
  sanitizeError,
  sanitizeValue,
} from '@countersign/core/backend'
import { backend } from './backend.ts'
import { type Answer, type CallOptions, callOptions } from './client.ts'
import {
  describeFailure,
  isCredentialError,
  notKeyVault,
  type Permission,
} from './describe-failure.ts'

/** What a call came to. */
interface Called<T> {
  readonly result: T
  /** The key that the service says it used. The SDK's own `keyID` only says which one it was asked for. */
  readonly kid: string | undefined
}

/**
 * Makes a call by the SDK and names its failures.
 *
 * The response is looked at, too: of an error without a body, and of a page instead of JSON, the SDK makes a `TypeError`
 * or a result without members.
 *
 * @param permission - what the call needs.
 */
export async function call<T>(
  calls: RetriedCalls,
  permission: Permission,
  signal: AbortSignal,
  run: (options: CallOptions) => Promise<T>,
): Promise<Called<T>> {
  let answer: Answer | undefined
  const onResponse = (given: Answer) => {
    answer = given
  }
  let result: T
  try {
    result = await calls.run(signal, (call) => run(callOptions(call, onResponse)))
  } catch (cause) {
    const failure = describeFailure(cause, permission, answer)
    scrub(cause)
    throw failure === undefined ? cause : asError(failure, cause)
  }
  const body: unknown = answer === undefined ? {} : (answer as Answer).parsedBody
  if (typeof body !== 'object' || body === null) throw asError(notKeyVault)
  const { kid } = body as { readonly kid?: unknown }
  return { result, kid: typeof kid === 'string' ? kid : undefined }
}

function asError({ code, message, retryable }: SignerFailure, cause?: unknown): SignerError {
  return new SignerError(code, message, { backend, cause, retryable })
}

/** What the SDK's errors hold beside what they show. */
interface Holder {
  readonly request?: { readonly headers?: { delete?(name: string): void } }
  readonly response?: { bodyAsText?: unknown; parsedBody?: unknown }
  details?: unknown
}

/**
 * Cleans the text of an error of the SDK, and cuts the ways from it to the request, in whose headers the access token is.
 * The errors of a credential are the caller's, and stay as they are.
 */
function scrub(error: unknown): void {
  if (!(error instanceof Error) || isCredentialError(error)) return
  const holder = error as Error & Holder
  const { request, response, details } = holder
  request?.headers?.delete?.('authorization')
  Reflect.deleteProperty(error, 'request')
  sanitizeError(error)
  if (details !== undefined) holder.details = readable(details)
  if (response === undefined) return
  Reflect.deleteProperty(response, 'request')
  if (typeof response.bodyAsText === 'string') response.bodyAsText = sanitize(response.bodyAsText)
  if (response.parsedBody !== undefined) response.parsedBody = readable(response.parsedBody)
}

/** A value that was read from an answer, or its beginning when it is long or not fit to be shown. */
function readable(value: unknown): unknown {
  const text = sanitizeValue(value)
  return text === JSON.stringify(value) ? value : text
}
