import { SignerError } from '@countersign/core'
import type { PKCS11 } from 'pkcs11js'
import { isConnectionLost, isHandleStale, isLoginLost, isPinRefused, returnValueOf } from './ckr.ts'
import {
  CKF_LOGIN_REQUIRED,
  CKF_PROTECTED_AUTHENTICATION_PATH,
  CKF_SERIAL_SESSION,
  CKF_USER_PIN_COUNT_LOW,
  CKF_USER_PIN_FINAL_TRY,
  CKF_USER_PIN_LOCKED,
  CKU_CONTEXT_SPECIFIC,
  CKU_USER,
} from './constants.ts'
import type { Cryptoki } from './cryptoki.ts'
import { failure, moduleFailure } from './failure.ts'
import { describeKey, type FoundKey, findKey, type KeyDescription } from './find-key.ts'
import { type FoundToken, findToken } from './find-token.ts'
import type { Mechanism } from './mechanism.ts'
import type { KeySelector, TokenSelector } from './selector.ts'

/** How to log in, and how far to go. */
export interface Login {
  /** Absent for a token that asks for its PIN itself, or for none. */
  readonly pin?: string | undefined
  /** Log in even though the token says that one more wrong PIN locks it. */
  readonly allowFinalTry: boolean
  /** Do not log in if the token says that a wrong PIN was given since the last login. */
  readonly cautious: boolean
}

/** Which token was found. */
export interface TokenIdentity {
  readonly label: string
  readonly serial: string
  readonly loginRequired: boolean
  /** Whether the token asks for its PIN itself, on a pad of its own. */
  readonly hasPinPad: boolean
}

interface Opened {
  readonly generation: number
  readonly slot: Buffer
  /** A session that is never used to sign: it keeps the login while others come and go. */
  readonly anchor: Buffer
  readonly idle: Buffer[]
  readonly keys: Map<string, FoundKey>
  readonly mechanisms: readonly number[]
  sessions: number
}

const longestSignature = 1024

/** A token in this process: its sessions, its login, its keys, and the way back when any of them is lost. */
export class Token {
  readonly #cryptoki: Cryptoki
  readonly #selector: TokenSelector
  #mostSessions: number
  #opened: Opened | undefined
  /** The module's generation under which the token was last opened, or tried to be. */
  #tried = 0
  #login: Login | undefined
  readonly #known = new Map<string, string>()
  readonly #waiting: (() => void)[] = []
  #busy = 0
  #onDrained: (() => void) | undefined
  #recovering: Promise<void> | undefined

  constructor(cryptoki: Cryptoki, selector: TokenSelector, sessions: number) {
    this.#cryptoki = cryptoki
    this.#selector = selector
    this.#mostSessions = sessions
  }

  /** Finds the token; nothing is opened yet. */
  identify(): TokenIdentity {
    const { label, serial, flags } = this.#find()
    return {
      label,
      serial,
      loginRequired: (flags & CKF_LOGIN_REQUIRED) !== 0,
      hasPinPad: (flags & CKF_PROTECTED_AUTHENTICATION_PATH) !== 0,
    }
  }

  /** Opens the token and logs in. */
  open(login: Login | undefined): void {
    this.#login = login
    this.#open()
  }

  describeKey(selector: KeySelector): KeyDescription {
    const opened = this.#require()
    return guarded(
      'Reading the key',
      () => this.#resolve(opened, selector, opened.anchor).description,
    )
  }

  /** Makes one signature; waits for a session when all are in use. */
  async sign(selector: KeySelector, mechanism: Mechanism, data: Buffer): Promise<Buffer> {
    for (let attempt = 1; ; attempt++) {
      await this.#recovering
      const opened = this.#require()
      let session: Buffer | undefined
      try {
        session = await this.#acquire(opened)
        const signature = await this.#signIn(opened, session, selector, mechanism, data)
        this.#release(opened, session)
        return signature
      } catch (error) {
        this.#discard(opened, session)
        const value = returnValueOf(error)
        if (value !== undefined && isPinRefused(value)) this.#forgetPin()
        if (value === undefined || attempt === 3) throw moduleFailure(error, 'Signing')
        if (!(await this.#recover(value, opened))) throw moduleFailure(error, 'Signing')
      }
    }
  }

  /** Closes what was opened here, and leaves the module to others in this process. */
  close(): void {
    const opened = this.#opened
    this.#opened = undefined
    this.#login = undefined
    if (opened === undefined || opened.generation !== this.#cryptoki.generation) return
    for (const session of [...opened.idle, opened.anchor]) this.#closeSession(session)
  }

  async #signIn(
    opened: Opened,
    session: Buffer,
    selector: KeySelector,
    mechanism: Mechanism,
    data: Buffer,
  ): Promise<Buffer> {
    const { native } = this.#cryptoki
    const { handle, alwaysAuthenticate } =
      opened.keys.get(keyName(selector)) ?? this.#resolve(opened, selector, session).key
    native.C_SignInit(session, mechanism as Parameters<PKCS11['C_SignInit']>[1], handle)
    if (alwaysAuthenticate) native.C_Login(session, CKU_CONTEXT_SPECIFIC, this.#login?.pin ?? '')
    return native.C_SignAsync(session, data, Buffer.alloc(longestSignature))
  }

  #find(): FoundToken {
    return findToken(this.#cryptoki.native, this.#selector)
  }

  #open(): void {
    const { native } = this.#cryptoki
    this.#tried = this.#cryptoki.generation
    const { slot, flags } = this.#find()
    const anchor = guarded('Opening a session', () =>
      native.C_OpenSession(slot, CKF_SERIAL_SESSION),
    )
    const mechanisms = guarded('Listing the mechanisms', () => native.C_GetMechanismList(slot))
    const opened = {
      generation: this.#cryptoki.generation,
      slot,
      anchor,
      idle: [],
      keys: new Map(),
      mechanisms,
      sessions: 0,
    }
    try {
      this.#logIn(opened, flags)
    } catch (error) {
      this.#closeSession(anchor)
      throw error
    }
    this.#opened = opened
  }

  #logIn({ anchor }: Opened, flags: number): void {
    const login = this.#login
    if (login === undefined) return
    if ((flags & CKF_USER_PIN_LOCKED) !== 0) {
      throw denied(
        'The token says that its PIN is locked; the security officer has to set a new one',
      )
    }
    if ((flags & CKF_USER_PIN_FINAL_TRY) !== 0 && !login.allowFinalTry) {
      throw denied(
        'The token says that one more wrong PIN locks it, so none was tried; log in by other means first, or allow it by "allowFinalPinTry"',
      )
    }
    if ((flags & CKF_USER_PIN_COUNT_LOW) !== 0 && login.cautious) {
      throw denied(
        'The token says that a wrong PIN was given since the last login, and whether it was this one is not known, so it was not tried again; log in by other means first',
      )
    }
    try {
      this.#cryptoki.native.C_Login(anchor, CKU_USER, login.pin)
    } catch (error) {
      const value = returnValueOf(error)
      if (value === 256) return
      if (value !== undefined && isPinRefused(value)) this.#forgetPin()
      throw moduleFailure(error, 'Logging in')
    }
  }

  /** A PIN that was refused once is not there any more to be tried again. */
  #forgetPin(): void {
    if (this.#login === undefined) return
    this.#login = undefined
    this.#opened = undefined
  }

  #require(): Opened {
    if (this.#opened !== undefined) return this.#opened
    throw denied('The token is not logged in; its PIN was refused before and is not tried again')
  }

  /** Looks a key up, and makes sure that it is the one that had this name before. */
  #resolve(
    opened: Opened,
    selector: KeySelector,
    session: Buffer,
  ): { key: FoundKey; description: KeyDescription } {
    const { native } = this.#cryptoki
    const key = findKey(native, session, selector)
    const description = describeKey(native, session, key, opened.mechanisms)
    const name = keyName(selector)
    const { mechanisms: _, ...own } = description
    const known = this.#known.get(name)
    if (known !== undefined && known !== JSON.stringify(own)) throw anotherKey()
    this.#known.set(name, JSON.stringify(own))
    opened.keys.set(name, key)
    return { key, description }
  }

  async #acquire(opened: Opened): Promise<Buffer> {
    this.#busy++
    for (;;) {
      const idle = opened.idle.pop()
      if (idle !== undefined) return idle
      if (opened.sessions < this.#mostSessions || opened !== this.#opened) {
        opened.sessions++
        try {
          return this.#cryptoki.native.C_OpenSession(opened.slot, CKF_SERIAL_SESSION)
        } catch (error) {
          opened.sessions--
          // A token with fewer sessions than were asked for: those that there are will do.
          if (returnValueOf(error) !== 177 || opened.sessions === 0) throw error
          this.#mostSessions = opened.sessions
        }
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #release(opened: Opened, session: Buffer): void {
    opened.idle.push(session)
    this.#next()
  }

  /** A session in which an operation failed may be stuck in it. */
  #discard(opened: Opened, session: Buffer | undefined): void {
    if (session !== undefined) {
      opened.sessions--
      if (opened.generation === this.#cryptoki.generation) this.#closeSession(session)
    }
    this.#next()
  }

  #next(): void {
    this.#busy--
    this.#waiting.shift()?.()
    if (this.#busy === 0) this.#onDrained?.()
  }

  #closeSession(session: Buffer): void {
    try {
      this.#cryptoki.native.C_CloseSession(session)
    } catch {
      // It was closed behind our back.
    }
  }

  /** Mends what a return value says is broken; `false` when it says no such thing. */
  async #recover(value: number, seen: Opened): Promise<boolean> {
    if (seen !== this.#opened) return this.#opened !== undefined || this.#recovering !== undefined
    if (isLoginLost(value)) {
      if (this.#login === undefined) return false
      this.#logIn(seen, this.#find().flags)
      return true
    }
    if (isHandleStale(value)) {
      seen.keys.clear()
      return true
    }
    if (!isConnectionLost(value)) return false
    this.#recovering ??= this.#reconnect().finally(() => {
      this.#recovering = undefined
    })
    await this.#recovering
    return true
  }

  async #reconnect(): Promise<void> {
    // Finalising under a running call is undefined behaviour: those that run have to come back first.
    if (this.#busy > 0) await new Promise<void>((resolve) => (this.#onDrained = resolve))
    this.#onDrained = undefined
    try {
      this.#cryptoki.reinitialize(this.#tried)
      this.#open()
    } catch (error) {
      if (!SignerError.is(error) || error.code !== 'ERR_SIGNER_CONFIG') throw error
      // It was there before, so the options are not to blame.
      throw failure('ERR_SIGNER_UNAVAILABLE', error.message, { cause: error })
    }
  }
}

function keyName({ label, id }: KeySelector): string {
  return JSON.stringify([label, id])
}

function guarded<T>(doing: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw moduleFailure(error, doing)
  }
}

function denied(message: string): Error {
  return failure('ERR_SIGNER_ACCESS_DENIED', message)
}

function anotherKey(): Error {
  return failure(
    'ERR_SIGNER_INTEGRITY',
    'The token has another key under this name now; make a new signer for it',
  )
}
