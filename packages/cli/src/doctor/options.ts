import type { Signer } from '@countersign/core'
import type { Fetch } from '@countersign/oauth'

/** What is to be diagnosed: a key, a client, and an MCP server, an issuer or both. */
export interface DiagnoseOptions {
  /** Loads the key. What it makes is closed at the end, if it can be. */
  readonly loadSigner: (signal: AbortSignal) => Promise<Signer>
  /** Where the key is, for people, such as `awskms`. */
  readonly keyStore: string
  readonly clientId: string
  /** URL of the MCP server. */
  readonly mcp?: string | undefined
  /** The authorization server's issuer identifier; a pin on it when there is an MCP server, too. */
  readonly issuer?: string | undefined
  /** What to ask a token for, when there is no MCP server that says so. */
  readonly resource?: string | undefined
  readonly scope?: string | undefined
  /** Replaces the issuer as the assertion's `aud`. */
  readonly audience?: string | undefined
  /** Bound on each thing that is waited for; 15 by default. */
  readonly timeoutSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch. */
  readonly now?: (() => number) | undefined
}

/** Options with their defaults, and what all steps share. */
export interface Examination extends DiagnoseOptions {
  readonly fetch: Fetch
  readonly now: () => number
  readonly timeoutSeconds: number
  /** Waits for something, no longer than the bound, and until the caller gives up. */
  readonly within: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>
}
