import { type Channel, channel } from 'node:diagnostics_channel'
import type { JwsAlgorithm } from './algorithm.ts'
import { SignerError, type SignerErrorCode } from './error.ts'
import type { Signer } from './signer.ts'

/**
 * One message on the `node:diagnostics_channel` named `countersign:sign`, published when a signature
 * was made or could not be made. Nothing in it is secret, and neither the input nor the signature is.
 */
export interface SignMessage {
  /** Name of the backend, such as `aws-kms`. */
  readonly backend: string
  readonly alg: JwsAlgorithm
  readonly kid: string
  /** Wall-clock time from the call to its outcome. */
  readonly durationSeconds: number
  readonly outcome: 'signed' | 'failed' | 'aborted'
  /** Why, when the outcome is `failed`. */
  readonly code?: SignerErrorCode
}

/** The channel that every signature is reported on. */
export const signChannel: Channel = channel('countersign:sign')

/**
 * One message on the `node:diagnostics_channel` named `countersign:rotation`, published when a rotating signer loaded
 * its key or could not. Nothing in it is secret.
 */
export interface RotationMessage {
  /**
   * Why it was loaded: for the first time, because of its age, because a signature failed, because a server refused
   * what was signed, or because `reload()` was called.
   */
  readonly cause: 'start' | 'age' | 'failure' | 'refusal' | 'request'
  /** `replaced` by another key, algorithm or key ID, or by the same that was loaded after a failure; else `unchanged`. */
  readonly outcome: 'loaded' | 'replaced' | 'unchanged' | 'failed'
  /** Wall-clock time that loading took. */
  readonly durationSeconds: number
  /** Of the signer that is in use now, if there is one. */
  readonly alg?: JwsAlgorithm
  readonly kid?: string
  /** Key ID of the signer that was in use before, when the outcome is `replaced`. */
  readonly previousKid?: string
  /** Why, when the outcome is `failed` and a `SignerError` says so. */
  readonly code?: SignerErrorCode
}

const rotationChannel: Channel = channel('countersign:rotation')

/** Starts to measure a load. Call the result with the signer in use after the load, and the reason if it failed. */
export function rotationReport(
  cause: RotationMessage['cause'],
  before: Signer | undefined,
): (after: Signer | undefined, failure?: { readonly reason: unknown }) => void {
  const start = performance.now()
  return (after, failure) => {
    if (!rotationChannel.hasSubscribers) return
    const replaced = before !== undefined && after !== before
    const done = before === undefined ? 'loaded' : replaced ? 'replaced' : 'unchanged'
    rotationChannel.publish({
      cause,
      outcome: failure === undefined ? done : 'failed',
      durationSeconds: (performance.now() - start) / 1000,
      ...(after && { alg: after.alg, kid: after.kid }),
      ...(replaced && { previousKid: before.kid }),
      ...(SignerError.is(failure?.reason) && { code: failure.reason.code }),
    })
  }
}
