import type { SignRequest } from '@countersign/core'
import type { KeyDescription } from './find-key.ts'
import type { Login } from './login.ts'
import type { Mechanism } from './mechanism.ts'
import type { BoundKey, KeySelector, TokenSelector } from './selector.ts'
import type { TokenIdentity } from './token.ts'

/** What is needed to reach a token. */
export interface TokenLocation {
  /** Path of the module. */
  readonly module: string
  readonly libraryParameters?: string | undefined
  readonly token: TokenSelector
  /** Most sessions to sign in at once. */
  readonly sessions: number
  /** Environment variables for the module's own process, beyond the usual ones. */
  readonly env: readonly string[]
}

/** Whoever asked for a signature, and whether they still wait for it. */
export type Caller = Pick<SignRequest, 'aborted' | 'signal'>

/** A token, in this process or behind a channel. */
export interface TokenPort {
  /** Loads the module, if it is not, and finds a token. */
  identify(selector: TokenSelector): Promise<TokenIdentity>
  /** Opens the token and logs in, once; returns whether the token accepted the PIN. */
  open(login: Login | undefined): Promise<boolean>
  describeKey(selector: KeySelector): Promise<KeyDescription>
  /**
   * Settles when the token has answered, or never will. A caller who left, as `caller` tells, is taken out of the
   * queue, and keeps no process alive.
   */
  sign(key: BoundKey, mechanism: Mechanism, data: Uint8Array, caller: Caller): Promise<Uint8Array>
  /** Gives back what was opened, after what is under way. */
  close(): Promise<void>
  /** Gives up at once: what is under way is rejected as lost, where that can be done. */
  kill(): void
  /** Whether the port is of no use any more. */
  readonly gone: boolean
}

/** What a port rejects with when its process is gone under a call. */
export class PortLost extends Error {
  /** `hung`: it was ended since it gave no answer; `unstarted`: it gave none before it ended. */
  readonly how: 'hung' | 'unstarted' | 'ended'

  constructor(how: PortLost['how'], message = '') {
    super(message)
    this.how = how
  }
}
