import { SignerError } from '@countersign/core'
import { backend } from './backend.ts'
import type { Answer, CallOptions } from './client.ts'
import { describeFailure, notKeyVault, type Permission } from './describe-failure.ts'

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
  permission: Permission,
  signal: AbortSignal,
  run: (options: CallOptions) => Promise<T>,
): Promise<Called<T>> {
  let answer: Answer | undefined
  const onResponse = (given: Answer) => {
    answer = given
  }
  try {
    const result = await run({ abortSignal: signal, onResponse })
    if (answer === undefined) return { result, kid: undefined }
    const { parsedBody: body } = answer
    if (typeof body !== 'object' || body === null) throw new SyntaxError('the response is not JSON')
    const { kid } = body as { readonly kid?: unknown }
    return { result, kid: typeof kid === 'string' ? kid : undefined }
  } catch (cause) {
    const failure =
      cause instanceof SyntaxError ? notKeyVault : describeFailure(cause, permission, answer)
    if (failure === undefined) throw cause
    const { code, message, retryable } = failure
    throw new SignerError(code, message, {
      backend,
      cause,
      ...(retryable === undefined ? {} : { retryable }),
    })
  }
}
