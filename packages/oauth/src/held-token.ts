import type { TokenResponse } from './token-request.ts'

/** A token with what is known of its life. Times are in milliseconds since the epoch. */
export interface HeldToken {
  readonly response: TokenResponse
  /** What was granted, or asked for where the server does not say. */
  readonly scope: string | undefined
  /** When the server stops accepting it; infinite when the server did not say. */
  readonly expiresAt: number
  /** When a newer one is wanted. */
  readonly renewAt: number
  /** When it is no longer handed out, a little ahead of its expiry: a request takes its time. */
  readonly unusableAt: number
}

/** Reads off a token response how long its token is good for, RFC 6749 §5.1. */
export function heldToken(
  response: TokenResponse,
  askedScope: string | undefined,
  askedAt: number,
): HeldToken {
  const lifetime = (response.expires_in ?? Number.POSITIVE_INFINITY) * 1000
  const expiresAt = askedAt + lifetime
  return {
    response,
    scope: response.scope ?? askedScope,
    expiresAt,
    renewAt: expiresAt - Math.min(lifetime / 5, 300_000),
    unusableAt: expiresAt - Math.min(lifetime / 10, 5_000),
  }
}
