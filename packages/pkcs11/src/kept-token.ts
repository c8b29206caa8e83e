import { SignerError } from '@countersign/core'
import { isConnectionLost, isRefusal, isStale, isVague, valueBehind } from './ckr.ts'
import type { Cryptoki } from './cryptoki.ts'
import { failure, moduleFailure } from './failure.ts'
import type { Login, Permit } from './login.ts'
import { OpenedToken } from './opened-token.ts'
import type { TokenSelector } from './selector.ts'
import { Outdated } from './session-pool.ts'

const mostAttempts = 4

/** Between two starts of the module on nothing but suspicion. */
const secondsOfTrust = 10

/** Keeps a token open: what is lost of it, be it a session, the login or the module's whole state, is had anew. */
export class KeptToken {
  readonly #cryptoki: Cryptoki
  readonly #selector: TokenSelector
  readonly #sessions: number
  readonly #permit: Permit
  #opened: OpenedToken | undefined
  #login: Login | undefined
  #state: 'new' | 'open' | 'refused' | 'closed' = 'new'
  #reopening: Promise<OpenedToken> | undefined
  #trustedUntil = 0

  /** @param permit - is asked before every login but the first. */
  constructor(cryptoki: Cryptoki, selector: TokenSelector, sessions: number, permit: Permit) {
    this.#cryptoki = cryptoki
    this.#selector = selector
    this.#sessions = sessions
    this.#permit = permit
  }

  /** Opens the token and logs in; returns whether the token accepted the PIN. */
  async open(login: Login | undefined): Promise<boolean> {
    // In process, another one may be starting the module anew right now.
    await this.#cryptoki.settled
    const opened = this.#open()
    this.#opened = opened
    let accepted = false
    if (login !== undefined) {
      try {
        accepted = opened.logIn(login)
      } catch (error) {
        this.end('closed')
        throw error
      }
    }
    this.#login = login
    this.#state = 'open'
    return accepted
  }

  /** The PIN of the login, for keys that want it once more. */
  get pin(): string {
    return this.#login?.pin ?? ''
  }

  /**
   * Does something with the open token, again when what was broken could be mended.
   *
   * @param keyIsNew - whether a key that is not there may never have been.
   */
  async attempt<T>(
    doing: string,
    keyIsNew: boolean,
    use: (opened: OpenedToken) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const ready = this.#ready()
      const opened = ready instanceof Promise ? await ready : ready
      try {
        return await use(opened)
      } catch (error) {
        if (attempt === mostAttempts) throw moduleFailure(error, doing)
        if (error instanceof Outdated) continue
        if (!(await this.#mend(error, opened, keyIsNew))) throw moduleFailure(error, doing)
      }
    }
  }

  /** Logs in again, should the login have been lost. */
  async logInAgain(opened: OpenedToken): Promise<void> {
    if (this.#login === undefined || opened.state() !== 'logged out') return
    try {
      await this.#permit(({ cautious, pin = this.#login?.pin }) => {
        // Others that found out at the same time may have had their turn before.
        if (this.#login === undefined || !opened.current) return false
        if (opened.state() === 'logged in') return false
        const login = { ...this.#login, cautious, pin }
        const accepted = opened.logIn(login)
        if (accepted) this.#login = login
        return accepted
      })
    } catch (error) {
      if (isRefusal(error)) this.end('refused')
      throw error
    }
  }

  /** Closes what was opened here, and leaves the module to others in this process. */
  end(state: 'refused' | 'closed'): void {
    const opened = this.#opened
    this.#state = state
    this.#opened = undefined
    this.#login = undefined
    opened?.retire('closed')
  }

  #ready(): OpenedToken | Promise<OpenedToken> {
    if (this.#reopening === undefined && this.#opened?.current) return this.#opened
    switch (this.#state) {
      case 'open':
        return this.#reopen(false)
      case 'refused':
        throw failure(
          'ERR_SIGNER_ACCESS_DENIED',
          'The token is not logged in; its PIN was refused before and is not tried again',
        )
      default:
        throw failure('ERR_SIGNER_CONFIG', 'The token is not open')
    }
  }

  /** Mends what an error says is broken; `false` when it says no such thing. */
  async #mend(error: unknown, seen: OpenedToken, keyIsNew: boolean): Promise<boolean> {
    const value = valueBehind(error) ?? 0
    const keyGone = SignerError.is(error) && error.code === 'ERR_SIGNER_KEY_NOT_FOUND'
    const isCurrent = this.#opened === seen && seen.current
    const lost = keyGone
      ? // It went with its token, which may have come back as another.
        !keyIsNew || (isCurrent && !seen.isThere())
      : isConnectionLost(value) || (isVague(value) && this.#suspects())
    if (!lost && !isStale(value)) return false
    // Somebody else is mending, or has mended.
    if (!isCurrent) return true
    if (lost) {
      await this.#reopen(true)
      return true
    }
    seen.keys.clear()
    if (seen.state() === 'gone') await this.#reopen(false)
    else await this.logInAgain(seen)
    return true
  }

  /** Whether it is time to start the module anew without knowing that it helps. */
  #suspects(): boolean {
    const now = performance.now()
    // Those that failed together wait for the same start.
    if (this.#reopening !== undefined) return true
    if (now < this.#trustedUntil) return false
    this.#trustedUntil = now + secondsOfTrust * 1000
    return true
  }

  #reopen(restart: boolean): Promise<OpenedToken> {
    this.#reopening ??= this.#openAgain(restart).finally(() => {
      this.#reopening = undefined
    })
    return this.#reopening
  }

  async #openAgain(restart: boolean): Promise<OpenedToken> {
    const lost = this.#opened
    this.#opened = undefined
    lost?.retire('lost')
    const { settled } = this.#cryptoki
    await (restart && lost !== undefined ? this.#cryptoki.restart(lost.generation) : settled)
    const opened = await this.#openOrRestart()
    try {
      await this.logInAgain(opened)
    } catch (error) {
      opened.retire('closed')
      throw error
    }
    // It may have been closed meanwhile.
    if (this.#state !== 'open') opened.retire('closed')
    else this.#opened = opened
    return opened
  }

  async #openOrRestart(): Promise<OpenedToken> {
    try {
      return this.#open()
    } catch {
      await this.#cryptoki.restart(this.#cryptoki.generation)
    }
    try {
      return this.#open()
    } catch (error) {
      if (!SignerError.is(error) || error.code !== 'ERR_SIGNER_CONFIG') throw error
      // It was there before, so the options are not to blame.
      throw failure('ERR_SIGNER_UNAVAILABLE', error.message, { cause: error })
    }
  }

  #open(): OpenedToken {
    return new OpenedToken(this.#cryptoki, this.#selector, this.#sessions)
  }
}
