import { type Channel, channel } from 'node:diagnostics_channel'

/**
 * A message on the `node:diagnostics_channel` named `countersign:token`. It is published when an access token was
 * obtained, or could not be obtained, and contains no secret.
 */
export interface TokenMessage {
  readonly issuer: string
  readonly clientId: string
  /** Whether the token was renewed before its expiry, while no caller waited. */
  readonly background: boolean
  /** Wall-clock time from the first attempt to the outcome. */
  readonly durationSeconds: number
  readonly outcome: 'granted' | 'failed'
  /** Code of the `OAuthError` or `SignerError`, when the outcome is `failed`. */
  readonly code?: string
}

const tokenChannel: Channel = channel('countersign:token')

/** Starts to measure a renewal. Call the result when it ends, with the reason if it failed. */
export function tokenReport(
  issuer: string,
  clientId: string,
  background: boolean,
): (failure?: { readonly reason: unknown }) => void {
  const start = performance.now()
  return (failure) => {
    if (!tokenChannel.hasSubscribers) return
    const { code } = (failure?.reason ?? {}) as { readonly code?: unknown }
    tokenChannel.publish({
      issuer,
      clientId,
      background,
      durationSeconds: (performance.now() - start) / 1000,
      outcome: failure === undefined ? 'granted' : 'failed',
      ...(typeof code === 'string' && { code }),
    } satisfies TokenMessage)
  }
}
