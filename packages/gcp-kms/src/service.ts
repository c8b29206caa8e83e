import { SignerError, type SignerFailure } from '@countersign/core'
import { type RetriedCalls, sanitizeError } from '@countersign/core/backend'
import { backend } from './backend.ts'
import { callOptions } from './call-options.ts'
import type { GcpKmsCallOptions, GcpKmsClient } from './client.ts'
import { type Call, describeCredentialsFailure, describeFailure } from './failure.ts'

/** A client's calls, each bounded by a deadline and a signal, with failures as {@link SignerError}. */
export interface Service {
  call<T>(
    call: Call,
    signal: AbortSignal,
    invoke: (client: GcpKmsClient, options: GcpKmsCallOptions) => Promise<T>,
  ): Promise<T>
}

/**
 * Gets the client its credentials, and makes its calls.
 *
 * The client's methods would get them by themselves; but when that fails, the SDK leaves a rejected promise behind that
 * nobody handles, which ends the process.
 */
export async function openService(client: GcpKmsClient, calls: RetriedCalls): Promise<Service> {
  try {
    await client.initialize()
  } catch (error) {
    throw named(error, describeCredentialsFailure(error))
  }
  return {
    async call(call, signal, invoke) {
      try {
        return await calls.run(signal, (retried) => invoke(client, callOptions(retried)))
      } catch (error) {
        throw named(error, describeFailure(error, call))
      }
    },
  }
}

function named(error: unknown, failure: SignerFailure | undefined): unknown {
  forgetRequest(error, 6)
  sanitizeError(error)
  if (failure === undefined) return error
  const { code, message, retryable } = failure
  return new SignerError(code, message, { backend, cause: error, retryable })
}

/**
 * Takes from an error of the SDK's HTTP client, and from its causes, the request and its answer: there stands what the
 * access token is got with, such as a refresh token, for whoever logs an error with all its fields.
 */
function forgetRequest(error: unknown, depth: number): void {
  if (typeof error !== 'object' || error === null || depth === 0) return
  const { cause } = error as { readonly cause?: unknown }
  for (const member of ['config', 'response', 'error']) Reflect.deleteProperty(error, member)
  forgetRequest(cause, depth - 1)
}
