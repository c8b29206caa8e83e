import { type Channel, channel } from 'node:diagnostics_channel'

/**
 * One message on the `node:diagnostics_channel` named `countersign:token`, published when an access token
 * was obtained or could not be. Nothing in it is secret.
 */
export interface TokenMessage {
  readonly issuer: string
  readonly clientId: string
  /** Whether the token was renewed ahead of its expiry, with nobody waiting. */
  readonly background: boolean
  /** Wall-clock time from the first attempt to the outcome. */
  readonly durationSeconds: number
  readonly outcome: 'granted' | 'failed'
  /** Code of the `OAuthError` or `SignerError`, when the outcome is `failed`. */
  readonly code?: string
}

/** The channel that every renewal is reported on. */
export const tokenChannel: Channel = channel('countersign:token')
