import type { Fetch, PrivateKeyJwtOptions } from '@countersign/oauth'
import type { OpenKey } from '../key-option.ts'

/** How an assertion is made, where a server wants it in another way than by default. */
export type AssertionSettings = Pick<
  PrivateKeyJwtOptions,
  'audience' | 'typ' | 'kid' | 'clientIdInBody'
>

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
  /** Scope values that the MCP server may ask for in addition to `scope`; all by default. */
  readonly maxScope?: string | undefined
  /** How assertions are made. */
  readonly assertion?: AssertionSettings | undefined
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
