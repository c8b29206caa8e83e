import { SignerError } from '@countersign/core'
import type { PKCS11 } from 'pkcs11js'
import { isConnectionLost, isRefusal, isStale, valueBehind } from './ckr.ts'
import {
  CKF_LOGIN_REQUIRED,
  CKF_PROTECTED_AUTHENTICATION_PATH,
  CKU_CONTEXT_SPECIFIC,
} from './constants.ts'
import type { Cryptoki } from './cryptoki.ts'
import { failure, moduleFailure } from './failure.ts'
import { type FoundKey, findKey, type KeyDescription } from './find-key.ts'
import { findToken } from './find-token.ts'
import type { Login } from './login.ts'
import type { Mechanism } from './mechanism.ts'
import { OpenedToken } from './opened-token.ts'
import type { BoundKey, KeySelector, TokenSelector } from './selector.ts'
import { Outdated } from './session-pool.ts'

/** Which token was found. */
export interface TokenIdentity {
  readonly label: string
  readonly serial: string
  readonly loginRequired: boolean
  /** Whether the token asks for its PIN itself, on a pad of its own. */
  readonly hasPinPad: boolean
}

const longestSignature = 1024

/** No octets, but at an address: the library hands NULL on for other empty buffers, and modules refuse that. */
const nothing = Buffer.alloc(1).subarray(0, 0)

const mostAttempts = 4

/** A token in this process: its keys, its signatures, and the way back when something is lost under them. */
export class Token {
  readonly #cryptoki: Cryptoki
  readonly #selector: TokenSelector
  readonly #sessions: number
  #opened: OpenedToken | undefined
  #login: Login | undefined
  #state: 'new' | 'open' | 'refused' | 'closed' = 'new'
  #reopening: Promise<OpenedToken> | undefined

  constructor(cryptoki: Cryptoki, selector: TokenSelector, sessions: number) {
    this.#cryptoki = cryptoki
    this.#selector = selector
    this.#sessions = sessions
  }

  /** Finds the token; nothing is opened yet. */
  identify(): TokenIdentity {
    const { label, serial, flags } = findToken(this.#cryptoki.native, this.#selector)
    return {
      label,
      serial,
      loginRequired: (flags & CKF_LOGIN_REQUIRED) !== 0,
      hasPinPad: (flags & CKF_PROTECTED_AUTHENTICATION_PATH) !== 0,
    }
  }

  /** Opens the token and logs in. */
  async open(login: Login | undefined): Promise<void> {
    this.#login = login
    // In process, another token of the module may be starting it anew right now.
    await this.#cryptoki.settled
    this.#opened = this.#open()
    this.#state = 'open'
  }

  describeKey(selector: KeySelector): Promise<KeyDescription> {
    return this.#attempt('Reading the key', true, async (opened) => {
      // Without the login, the token would deny that there is such a key.
      if (this.#login !== undefined && opened.state() === 'logged out') opened.logIn(this.#login)
      const { identity, description } = findKey(this.#cryptoki.native, opened.anchor, selector)
      return { ...description, identity, mechanisms: opened.mechanisms }
    })
  }

  /**
   * Makes one signature; waits for a session when all are in use.
   *
   * @param isWanted - asked when a session is there, since whoever waited for it may have left.
   */
  sign(
    key: BoundKey,
    mechanism: Mechanism,
    data: Buffer,
    isWanted: () => boolean,
  ): Promise<Buffer> {
    return this.#attempt('Signing', false, async (opened) => {
      const { sessions } = opened
      const lent = sessions.lend()
      const session = lent instanceof Promise ? await lent : lent
      if (!opened.current || !isWanted()) {
        sessions.giveBack(session)
        throw opened.current ? new Error('nobody waits for this signature') : new Outdated()
      }
      try {
        const signature = await this.#signIn(opened, session, key, mechanism, data)
        sessions.giveBack(session)
        return signature
      } catch (error) {
        sessions.discard(session)
        throw error
      }
    })
  }

  /** Closes what was opened here, and leaves the module to others in this process. */
  close(): void {
    this.#end('closed')
  }

  #signIn(
    opened: OpenedToken,
    session: Buffer,
    key: BoundKey,
    mechanism: Mechanism,
    data: Buffer,
  ): Promise<Buffer> {
    const { native } = this.#cryptoki
    const { handle, alwaysAuthenticate } =
      opened.keys.get(key.identity) ?? this.#find(opened, session, key)
    native.C_SignInit(session, mechanism as Parameters<PKCS11['C_SignInit']>[1], handle)
    if (alwaysAuthenticate) native.C_Login(session, CKU_CONTEXT_SPECIFIC, this.#login?.pin ?? '')
    return this.#cryptoki.run(() =>
      native.C_SignAsync(
        session,
        data.byteLength === 0 ? nothing : data,
        Buffer.alloc(longestSignature),
      ),
    )
  }

  /** Looks a key up, and makes sure that it is the one that is meant. */
  #find(opened: OpenedToken, session: Buffer, { selector, identity }: BoundKey): FoundKey {
    const key = findKey(this.#cryptoki.native, session, selector)
    if (key.identity !== identity) {
      throw failure(
        'ERR_SIGNER_INTEGRITY',
        'The token has another key under this name now; make a new signer for it',
      )
    }
    opened.keys.set(identity, key)
    return key
  }

  /** Does something with the open token, again when what was broken could be mended. */
  async #attempt<T>(
    doing: string,
    isFirstUse: boolean,
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
        if (!(await this.#mend(error, opened, isFirstUse))) throw moduleFailure(error, doing)
      }
    }
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
  async #mend(error: unknown, seen: OpenedToken, isFirstUse: boolean): Promise<boolean> {
    if (isRefusal(error)) {
      this.#end('refused')
      return false
    }
    const value = valueBehind(error)
    const keyGone = SignerError.is(error) && error.code === 'ERR_SIGNER_KEY_NOT_FOUND'
    if (value === undefined && !keyGone) return false
    // Somebody else is mending, or has mended.
    if (this.#opened !== seen || !seen.current) return true
    // A key that was there went with its token, which may have come back as another.
    if (keyGone ? !isFirstUse : isConnectionLost(value ?? 0)) {
      await this.#reopen(true)
      return true
    }
    if (value === undefined || !isStale(value)) return false
    seen.keys.clear()
    const state = seen.state()
    if (state === 'gone') await this.#reopen(false)
    else if (state === 'logged out' && this.#login !== undefined)
      this.#logInAgain(seen, this.#login)
    return true
  }

  #logInAgain(opened: OpenedToken, login: Login): void {
    try {
      opened.logIn(login)
    } catch (error) {
      if (isRefusal(error)) this.#end('refused')
      throw error
    }
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
    try {
      await (restart && lost !== undefined
        ? this.#cryptoki.restart(lost.generation)
        : this.#cryptoki.settled)
      try {
        this.#opened = this.#open()
      } catch (error) {
        if (SignerError.is(error) && error.code === 'ERR_SIGNER_ACCESS_DENIED') throw error
        await this.#cryptoki.restart(this.#cryptoki.generation)
        this.#opened = this.#open()
      }
    } catch (error) {
      if (isRefusal(error)) this.#end('refused')
      if (!SignerError.is(error) || error.code !== 'ERR_SIGNER_CONFIG') throw error
      // It was there before, so the options are not to blame.
      throw failure('ERR_SIGNER_UNAVAILABLE', error.message, { cause: error })
    }
    const opened = this.#opened
    if (this.#state !== 'open') this.#end(this.#state)
    return opened
  }

  #open(): OpenedToken {
    return new OpenedToken(this.#cryptoki, this.#selector, this.#sessions, this.#login)
  }

  #end(state: 'new' | 'refused' | 'closed'): void {
    const opened = this.#opened
    this.#state = state
    this.#opened = undefined
    this.#login = undefined
    opened?.retire('closed')
  }
}
