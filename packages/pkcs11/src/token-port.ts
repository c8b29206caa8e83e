import type { KeyDescription } from './find-key.ts'
import type { Mechanism } from './mechanism.ts'
import type { KeySelector, TokenSelector } from './selector.ts'
import type { Login, TokenIdentity } from './token.ts'

/** What is needed to reach a token. */
export interface TokenLocation {
  /** Path of the module. */
  readonly module: string
  readonly libraryParameters?: string | undefined
  readonly token: TokenSelector
  /** Most sessions to sign in at once. */
  readonly sessions: number
}

/** A token, in this process or behind a channel. */
export interface TokenPort {
  /** Loads the module and finds the token. */
  identify(): Promise<TokenIdentity>
  /** Opens the token and logs in, once. */
  open(login: Login | undefined): Promise<void>
  describeKey(selector: KeySelector): Promise<KeyDescription>
  sign(selector: KeySelector, mechanism: Mechanism, data: Uint8Array): Promise<Uint8Array>
  close(): Promise<void>
  /** Ends the token's process, if it has one of its own; what is under way is rejected as lost. */
  kill(): void
  /** Whether the port is of no use any more. */
  readonly gone: boolean
  /** When something last came back, by `performance.now()`. */
  readonly lastAnswerAt: number
}

/** What a port rejects with when its process ended under a call. */
export class PortLost extends Error {}
