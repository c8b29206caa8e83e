import { type Channel, channel } from 'node:diagnostics_channel'
import type { JwsAlgorithm } from './algorithm.ts'
import type { SignerErrorCode } from './error.ts'

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
