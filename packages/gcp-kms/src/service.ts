import { SignerError, type SignerFailure } from '@countersign/core'
import { backend } from './backend.ts'
import { deadlineExceeded, watchedCall } from './call-options.ts'
import type { GcpKmsCallOptions, GcpKmsClient } from './client.ts'
import { type Call, describeCredentialsFailure, describeFailure } from './failure.ts'

/** A client's calls, each held to a signal and to a time, their failures named. */
export interface Service {
  call<T>(
    call: Call,
    signal: AbortSignal,
    invoke: (client: GcpKmsClient, options: GcpKmsCallOptions) => Promise<T>,
  ): Promise<T>
}

/**
 * @param client - ready for calls.
 * @param millisecondsLeft - what is left of the deadline now.
 */
export function serviceOver(client: GcpKmsClient, millisecondsLeft: () => number): Service {
  return {
    async call(call, signal, invoke) {
      const left = millisecondsLeft()
      // A little is kept back, to say why it failed and not only that it is late.
      const milliseconds = Math.max(1, Math.floor(left - Math.min(250, left / 10)))
      const { options, latestFailure } = watchedCall(signal, milliseconds)
      try {
        const outcome = invoke(client, options)
        return await orLatestFailure(outcome, milliseconds, latestFailure)
      } catch (error) {
        throw named(error, describeFailure(error, call))
      }
    },
  }
}

/**
 * Gets the client its credentials. Its methods would do so by themselves; but when that fails, the SDK leaves a rejected
 * promise behind that nobody handles, which ends the process.
 */
export async function makeReady(client: GcpKmsClient): Promise<void> {
  try {
    await client.initialize()
  } catch (error) {
    throw named(error, describeCredentialsFailure(error))
  }
}

/** The outcome of a call; of one that is late, the failure that the SDK was trying to get over. */
function orLatestFailure<T>(
  outcome: Promise<T>,
  milliseconds: number,
  latestFailure: () => Error | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const failure = latestFailure()
      if (failure !== undefined) reject(failure)
    }, milliseconds)
    timer.unref()
    const fail = (error: unknown) => reject(isLate(error) ? (latestFailure() ?? error) : error)
    outcome.then(resolve, fail).finally(() => clearTimeout(timer))
  })
}

function isLate(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === deadlineExceeded
}

function named(error: unknown, failure: SignerFailure | undefined): unknown {
  forgetRequest(error)
  if (failure === undefined) return error
  const { code, message, retryable } = failure
  return new SignerError(code, message, { backend, cause: error, retryable })
}

/**
 * Takes from an error of the SDK's HTTP client, and from its causes, the request and its answer: there stands what the
 * access token is got with, such as a refresh token, for whoever logs an error with all its fields.
 */
function forgetRequest(error: unknown, depth = 6): void {
  if (typeof error !== 'object' || error === null || depth === 0) return
  const { cause } = error as { readonly cause?: unknown }
  for (const member of ['config', 'response']) Reflect.deleteProperty(error, member)
  forgetRequest(cause, depth - 1)
}
