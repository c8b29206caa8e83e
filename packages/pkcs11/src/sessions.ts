import { CKR_SESSION_COUNT, closed, returnValueOf } from './errors.ts'

interface Waiting {
  resolve(session: Buffer): void
  reject(error: unknown): void
}

/** The sessions to sign in: opened as they are needed, lent for one operation each, in the order of the requests. */
export class SessionPool {
  readonly #open: () => Buffer
  readonly #close: (session: Buffer) => void
  readonly #anchor: Buffer
  readonly #idle: Buffer[] = []
  readonly #waiting: Waiting[] = []
  #most: number
  #count = 0
  #ended = false

  /** @param anchor - the session that keeps the login; it signs only on a token that has no other. */
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

  /** Returns a session, at once if one is free. */
  lend(): Buffer | Promise<Buffer> {
    if (this.#ended) throw closed()
    const session = this.#idle.pop() ?? this.#another()
    if (session !== undefined) return session
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Takes back a session after its operation. */
  giveBack(session: Buffer): void {
    if (this.#ended) {
      if (session !== this.#anchor) this.#close(session)
      return
    }
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(session)
    else next.resolve(session)
  }

  /** Takes back a session in which an operation failed; it is replaced, since it may be stuck in the operation. */
  discard(session: Buffer): void {
    if (session === this.#anchor) {
      // The login would go with it.
      this.giveBack(session)
      return
    }
    this.#count--
    this.#close(session)
    if (this.#ended || this.#waiting.length === 0) return
    try {
      const another = this.#another()
      if (another !== undefined) this.#waiting.shift()?.resolve(another)
    } catch (error) {
      this.#dismiss(error)
    }
  }

  /** Closes the idle sessions now, and the others when they come back. */
  end(): void {
    this.#ended = true
    this.#dismiss(closed())
    for (const session of this.#idle.splice(0)) {
      if (session !== this.#anchor) this.#close(session)
    }
  }

  #another(): Buffer | undefined {
    if (this.#count >= this.#most) return undefined
    try {
      const session = this.#open()
      this.#count++
      return session
    } catch (error) {
      if (returnValueOf(error) !== CKR_SESSION_COUNT) throw error
      // The token has fewer sessions than were asked for.
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
