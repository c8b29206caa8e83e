import { CKR_SESSION_COUNT, closed, returnValueOf } from './errors.ts'

interface Waiting {
  resolve(session: Buffer): void
  reject(error: unknown): void
}

/** A pool of sessions. It opens them as needed, and lends each one for one operation, in the order of the requests. */
export class SessionPool {
  readonly #open: () => Buffer
  readonly #close: (session: Buffer) => void
  readonly #anchor: Buffer
  readonly #idle: Buffer[] = []
  readonly #waiting: Waiting[] = []
  #most: number
  #count = 0
  #ended = false

  /** @param anchor - the session that keeps the login. It signs only if the token has no other session. */
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

  /** Returns a session, without a promise if one is free. */
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

  /** Closes a session in which an operation failed, since the operation may still be active in it. */
  discard(session: Buffer): void {
    if (session === this.#anchor) {
      // Closing it would end the login.
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
      this.#rejectWaiting(error)
    }
  }

  /** Closes the idle sessions now, and the others after their operations. */
  end(): void {
    this.#ended = true
    this.#rejectWaiting(closed())
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
      // The token has fewer sessions than the options ask for.
      this.#most = Math.max(this.#count, 1)
      if (this.#count > 0) return undefined
      this.#count = 1
      return this.#anchor
    }
  }

  /** Rejects all requests that wait for a session. */
  #rejectWaiting(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
