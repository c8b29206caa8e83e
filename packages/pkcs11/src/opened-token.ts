import { CKF_SERIAL_SESSION, CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS } from './constants.ts'
import type { Cryptoki } from './cryptoki.ts'
import { guarded } from './failure.ts'
import type { FoundKey } from './find-key.ts'
import { findToken } from './find-token.ts'
import { type Login, logIn } from './login.ts'
import type { TokenSelector } from './selector.ts'
import { SessionPool } from './session-pool.ts'

/** A token as one opening of it left it: sessions, login and handles, which go together. */
export class OpenedToken {
  /** A session that keeps the login while others come and go; it signs only on a token that has no other. */
  readonly anchor: Buffer
  readonly sessions: SessionPool
  readonly mechanisms: readonly number[]
  /** The keys that were looked up, by the names they were looked up with. */
  readonly keys: Map<string, FoundKey> = new Map()
  readonly #cryptoki: Cryptoki
  readonly #generation: number
  readonly #selector: TokenSelector
  readonly #slot: Buffer

  constructor(cryptoki: Cryptoki, selector: TokenSelector, sessions: number) {
    const { native } = cryptoki
    this.#cryptoki = cryptoki
    this.#generation = cryptoki.generation
    this.#selector = selector
    const { slot } = findToken(native, selector)
    this.#slot = slot
    const open = () => native.C_OpenSession(slot, CKF_SERIAL_SESSION)
    this.anchor = guarded('Opening a session', open)
    this.sessions = new SessionPool(
      open,
      (session) => this.#closeSession(session),
      this.anchor,
      sessions,
    )
    try {
      this.mechanisms = guarded('Listing the mechanisms', () => native.C_GetMechanismList(slot))
    } catch (error) {
      this.#closeSession(this.anchor)
      throw error
    }
  }

  /** Whether the sessions can still be there, as far as this side knows. */
  get current(): boolean {
    return (
      this.#generation === this.#cryptoki.generation &&
      !this.#cryptoki.restarting &&
      !this.sessions.retired
    )
  }

  get generation(): number {
    return this.#generation
  }

  /** Asks the token whether the sessions are there, and whether the login is. */
  state(): 'gone' | 'logged out' | 'logged in' {
    try {
      const { state } = this.#cryptoki.native.C_GetSessionInfo(this.anchor)
      const loggedIn = state === CKS_RO_USER_FUNCTIONS || state === CKS_RW_USER_FUNCTIONS
      return loggedIn ? 'logged in' : 'logged out'
    } catch {
      return 'gone'
    }
  }

  /** Whether the token is still found where it was. */
  isThere(): boolean {
    try {
      return findToken(this.#cryptoki.native, this.#selector).slot.equals(this.#slot)
    } catch {
      return false
    }
  }

  logIn(login: Login): boolean {
    const { native } = this.#cryptoki
    return logIn(native, this.anchor, findToken(native, this.#selector).flags, login)
  }

  /** Lends nothing any more; closes its sessions, unless they are `lost` and their numbers perhaps another's. */
  retire(how: 'closed' | 'lost'): void {
    this.sessions.retire(how)
    if (how === 'closed') this.#closeSession(this.anchor)
  }

  #closeSession(session: Buffer): void {
    if (this.#generation !== this.#cryptoki.generation) return
    try {
      this.#cryptoki.native.C_CloseSession(session)
    } catch {
      // It was closed behind our back.
    }
  }
}
