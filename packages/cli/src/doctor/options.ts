import type { Fetch } from '@countersign/oauth'
import type { OpenKey } from '../key-option.ts'

/** What is to be diagnosed: a key, a client, and an MCP server, an issuer or both. */
export interface DiagnoseOptions {
  /** Opens the key, which is let go at the end. */
  readonly openKey: (signal: AbortSignal) => Promise<OpenKey>
  /** Where the key is, for people, such as `AWS KMS`. */
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
