import { CKR_SESSION_COUNT, returnValueOf } from './ckr.ts'

/** What those who wait for a session get when the token is opened anew in between. */
export class Outdated extends Error {}

interface Waiting {
  resolve(session: Buffer): void
  reject(error: unknown): void
}

/** The sessions to sign in: opened as they are needed, lent for one operation each, in the order of asking. */
export class SessionPool {
  readonly #open: () => Buffer
  readonly #close: (session: Buffer) => void
  readonly #anchor: Buffer
  readonly #idle: Buffer[] = []
  readonly #waiting: Waiting[] = []
  #most: number
  #count = 0
  #retired: 'closed' | 'lost' | undefined

  /** @param anchor - a session that is open already, for a token that has no other. */
  constructor(
    open: () => Buffer,
    close: (session: Buffer) => void,
    anchor: Buffer,
    sessions: number,
  ) {
    this.#open = open
    this.#close = close
    this.#anchor = anchor
    this.#most = sessions
  }

  /** A session, at once if one is free. */
  lend(): Buffer | Promise<Buffer> {
    if (this.#retired !== undefined) throw new Outdated()
    const session = this.#idle.pop() ?? this.#another()
    if (session !== undefined) return session
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Takes back a session whose operation has come to its end. */
  giveBack(session: Buffer): void {
    if (this.#retired !== undefined) {
      if (session !== this.#anchor) this.#close(session)
      return
    }
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(session)
    else next.resolve(session)
  }

  /** Closes a session in which an operation failed, since it may be stuck in it. */
  discard(session: Buffer): void {
    this.#count--
    if (this.#retired !== 'lost') this.#close(session)
    // The login goes with it: the whole token has to be opened anew.
    if (session === this.#anchor) this.retire('lost')
    if (this.#retired !== undefined || this.#waiting.length === 0) return
    try {
      const another = this.#another()
      if (another !== undefined) this.#waiting.shift()?.resolve(another)
    } catch (error) {
      this.#dismiss(error)
    }
  }

  /** Lends no more; what is idle is closed, unless it is `lost` anyway. */
  retire(how: 'closed' | 'lost'): void {
    this.#retired ??= how
    this.#dismiss(new Outdated())
    for (const session of this.#idle.splice(0)) {
      if (how === 'closed' && session !== this.#anchor) this.#close(session)
    }
  }

  get retired(): boolean {
    return this.#retired !== undefined
  }

  #another(): Buffer | undefined {
    if (this.#count >= this.#most) return undefined
    try {
      const session = this.#open()
      this.#count++
      return session
    } catch (error) {
      if (returnValueOf(error) !== CKR_SESSION_COUNT) throw error
      // A token with fewer sessions than were asked for: those that there are will do.
      this.#most = Math.max(this.#count, 1)
      if (this.#count > 0) return undefined
      this.#count = 1
      return this.#anchor
    }
  }

  /** Nobody is left to give a session back to those who wait. */
  #dismiss(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
