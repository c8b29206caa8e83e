import type { SignerErrorCode } from '@countersign/core'
import type { FaultName } from './faults.ts'

/** The expected result of a fault at one backend. */
export interface Expectation<Target> {
  /** `signs` if the right signature is returned; `reason` if the promise rejects with the reason of the abort. */
  readonly code: SignerErrorCode | 'signs' | 'reason'
  readonly retryable: boolean
  /** How many calls reach the service, including the SDK's retries. `many` is more than one. */
  readonly calls: number | 'many'
  readonly ends: 'at once' | 'after retries' | 'at the deadline'
  /** Part of the message, which distinguishes this failure from others with the same code. */
  readonly says: string | RegExp
  readonly inject: (target: Target, place: InjectionPlace) => void
  readonly alg: 'ES256' | 'ES384' | 'ES512' | 'PS256' | 'RS256'
  /** Whether the key has a name that the service resolves: an alias, or a key without a version. */
  readonly byAlias: boolean
}

export interface InjectionPlace {
  readonly on: 'key' | 'signature'
  /** How many calls fail; `undefined` for all of them. */
  readonly times: number | undefined
}

/** The expectations of one backend: `undefined` if its service does not have the fault. */
export type FaultTable<Target> = {
  readonly [fault in FaultName]: Expectation<Target> | undefined
}

/** Seconds within which a signature fails that waits for nothing. */
export const atOnceSeconds = 2

const transient = ['ERR_SIGNER_THROTTLED', 'ERR_SIGNER_UNAVAILABLE', 'ERR_SIGNER_TIMEOUT']

/**
 * Makes the expectations of a backend.
 *
 * @param attempts - number of attempts that its SDK makes by default.
 */
export function expectations<Target>(attempts: number) {
  type Code = Expectation<Target>['code']
  type Says = Expectation<Target>['says']
  type Inject = Expectation<Target>['inject']
  type Other = Partial<Pick<Expectation<Target>, 'calls' | 'ends' | 'alg' | 'byAlias'>>

  const withCode =
    (code: Code) =>
    (says: Says, inject: Inject, other: Other = {}): Expectation<Target> => ({
      code,
      retryable: transient.includes(code),
      calls: 1,
      ends: 'at once',
      says,
      inject,
      alg: 'ES256',
      byAlias: false,
      ...other,
    })
  const timeout = withCode('ERR_SIGNER_TIMEOUT')
  const reason = withCode('reason')
  const signs = withCode('signs')
  return {
    /** For a failure that the SDK retries until its attempts are used up. */
    retried: { calls: attempts, ends: 'after retries' } as const,
    throttled: withCode('ERR_SIGNER_THROTTLED'),
    unavailable: withCode('ERR_SIGNER_UNAVAILABLE'),
    denied: withCode('ERR_SIGNER_ACCESS_DENIED'),
    disabled: withCode('ERR_SIGNER_KEY_DISABLED'),
    notFound: withCode('ERR_SIGNER_KEY_NOT_FOUND'),
    unsupported: withCode('ERR_SIGNER_KEY_UNSUPPORTED'),
    integrity: withCode('ERR_SIGNER_INTEGRITY'),
    config: withCode('ERR_SIGNER_CONFIG'),
    unknown: withCode('ERR_SIGNER_BACKEND'),
    timeout: (inject: Inject, other?: Other) =>
      timeout('raise "timeoutSeconds"', inject, { ends: 'at the deadline', ...other }),
    aborted: (inject: Inject) => reason('', inject),
    signs: (inject: Inject, other?: Other) => signs('', inject, other),
  }
}
