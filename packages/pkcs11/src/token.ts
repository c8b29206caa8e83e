import type { PKCS11 } from 'pkcs11js'
import type { Mechanism } from './algorithms.ts'
import {
  CKR_USER_ALREADY_LOGGED_IN,
  failure,
  guarded,
  isRefusal,
  moduleFailure,
  returnValueOf,
} from './errors.ts'
import { type BoundKey, type FoundKey, findKey, type KeyDescription } from './key.ts'
import { findToken } from './module.ts'
import type { KeySelector, TokenLocation, TokenSelector } from './options.ts'
import { SessionPool } from './sessions.ts'

const CKF_SERIAL_SESSION = 0x4
const CKF_LOGIN_REQUIRED = 0x4
const CKF_PROTECTED_AUTHENTICATION_PATH = 0x100
const CKF_USER_PIN_COUNT_LOW = 0x10000
const CKF_USER_PIN_FINAL_TRY = 0x20000
const CKF_USER_PIN_LOCKED = 0x40000

const CKU_USER = 1
const CKU_CONTEXT_SPECIFIC = 2

const longestSignature = 1024

/** An empty buffer with an address: for other empty buffers the library passes NULL, which modules refuse. */
const nothing = Buffer.alloc(1).subarray(0, 0)

/** Which token was found. */
export interface TokenIdentity {
  readonly label: string
  readonly serial: string
  /** Identifies the token, also when it is reached through another module. */
  readonly name: string
  readonly slot: number
  readonly loginRequired: boolean
  /** Whether the token has a PIN pad. */
  readonly hasPinPad: boolean
}

/** How to log in. */
export interface Login {
  /** Absent for a token with a PIN pad. */
  readonly pin?: string | undefined
  /** Log in although the token reports that one more wrong PIN locks it. */
  readonly allowFinalTry: boolean
  /** Do not log in if the token reports a wrong PIN since the last login. */
  readonly cautious: boolean
}

/** A token of a module in this process. */
export class Token {
  readonly #native: PKCS11
  readonly #location: TokenLocation
  /** The keys that were found, by identity. */
  readonly #keys = new Map<string, FoundKey>()
  /** The buffer of each session for its signatures. */
  readonly #outputs = new WeakMap<Buffer, Buffer>()
  #opened: { readonly anchor: Buffer; readonly sessions: SessionPool } | undefined
  #mechanisms: readonly number[] = []
  #pin = ''
  #pinRefused = false
  #signing = 0
  #onQuiet: (() => void) | undefined

  constructor(native: PKCS11, location: TokenLocation) {
    this.#native = native
    this.#location = location
  }

  /** Finds a token, without opening it. */
  identify(selector: TokenSelector): TokenIdentity {
    const { label, serial, manufacturer, model, slotNumber, flags } = findToken(
      this.#native,
      selector,
    )
    return {
      label,
      serial,
      name: JSON.stringify([manufacturer, model, serial, label]),
      slot: slotNumber,
      loginRequired: (flags & CKF_LOGIN_REQUIRED) !== 0,
      hasPinPad: (flags & CKF_PROTECTED_AUTHENTICATION_PATH) !== 0,
    }
  }

  /** Opens the token and logs in; returns whether the token accepted the PIN. */
  open(login: Login | undefined): boolean {
    const native = this.#native
    const { slot, flags } = findToken(native, this.#location.token)
    const open = () => native.C_OpenSession(slot, CKF_SERIAL_SESSION)
    const close = (session: Buffer) => this.#closeSession(session)
    const anchor = guarded('Opening a session', open)
    try {
      this.#mechanisms = guarded('Listing the mechanisms', () => native.C_GetMechanismList(slot))
      const accepted = login !== undefined && logIn(native, anchor, flags, login)
      this.#pin = login?.pin ?? ''
      const sessions = new SessionPool(open, close, anchor, this.#location.sessions)
      this.#opened = { anchor, sessions }
      return accepted
    } catch (error) {
      close(anchor)
      throw error
    }
  }

  describeKey(selector: KeySelector): KeyDescription {
    const { anchor } = this.#requireOpen()
    const { identity, description } = guarded('Reading the key', () =>
      findKey(this.#native, anchor, selector),
    )
    return { ...description, identity, mechanisms: this.#mechanisms }
  }

  /**
   * Makes one signature; waits for a session if all are in use.
   *
   * @param isWanted - called when there is a session: the caller may have aborted.
   */
  async sign(
    key: BoundKey,
    mechanism: Mechanism,
    data: Buffer,
    isWanted: () => boolean,
  ): Promise<Buffer> {
    this.#signing++
    try {
      const { sessions } = this.#requireOpen()
      const lent = sessions.lend()
      const session = lent instanceof Promise ? await lent : lent
      if (!isWanted()) {
        sessions.giveBack(session)
        throw new Error('the caller of this signature does not wait any more')
      }
      try {
        const signature = Buffer.from(await this.#signIn(session, key, mechanism, data))
        sessions.giveBack(session)
        return signature
      } catch (error) {
        sessions.discard(session)
        throw error
      }
    } catch (error) {
      throw moduleFailure(error, 'Signing')
    } finally {
      this.#signing--
      if (this.#signing === 0) this.#onQuiet?.()
    }
  }

  /** Closes the sessions, after the running signatures. Does not finalise the module, which others may use. */
  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    opened?.sessions.end()
    if (this.#signing > 0) {
      await new Promise<void>((resolve) => {
        this.#onQuiet = resolve
      })
    }
    if (opened !== undefined) this.#closeSession(opened.anchor)
  }

  #requireOpen() {
    if (this.#opened === undefined) throw failure('ERR_SIGNER_CONFIG', 'The token is not open')
    return this.#opened
  }

  #signIn(session: Buffer, key: BoundKey, mechanism: Mechanism, data: Buffer): Promise<Buffer> {
    const native = this.#native
    const { handle, alwaysAuthenticate } = this.#keys.get(key.identity) ?? this.#find(session, key)
    native.C_SignInit(session, mechanism as Parameters<PKCS11['C_SignInit']>[1], handle)
    if (alwaysAuthenticate) this.#logInForOne(session)
    const output = this.#outputs.get(session) ?? Buffer.alloc(longestSignature)
    this.#outputs.set(session, output)
    return native.C_SignAsync(session, data.byteLength === 0 ? nothing : data, output)
  }

  /** Logs in for one signature, if the key requires that. */
  #logInForOne(session: Buffer): void {
    if (this.#pinRefused)
      throw denied('The token refused this PIN before, so it was not tried again')
    try {
      this.#native.C_Login(session, CKU_CONTEXT_SPECIFIC, this.#pin)
    } catch (error) {
      this.#pinRefused = isRefusal(error)
      throw error
    }
  }

  /** Finds a key, and checks that it is the same key as at load. */
  #find(session: Buffer, { selector, identity }: BoundKey): FoundKey {
    const key = findKey(this.#native, session, selector)
    if (key.identity !== identity) {
      throw failure(
        'ERR_SIGNER_INTEGRITY',
        'The token now has another key under this name; make a new signer for it',
      )
    }
    this.#keys.set(identity, key)
    return key
  }

  #closeSession(session: Buffer): void {
    try {
      this.#native.C_CloseSession(session)
    } catch {
      // It was closed before.
    }
  }
}

/**
 * Logs the process in, unless the token reports that this could lock it.
 *
 * @returns whether the token accepted the PIN; `false` if the process was logged in before, and the PIN was not checked.
 */
function logIn(native: PKCS11, session: Buffer, flags: number, login: Login): boolean {
  if ((flags & CKF_USER_PIN_LOCKED) !== 0) {
    throw denied(
      'The token reports that its PIN is locked; the security officer must set a new one',
    )
  }
  if ((flags & CKF_USER_PIN_FINAL_TRY) !== 0 && !login.allowFinalTry) {
    throw denied(
      'The token reports that one more wrong PIN locks it, so no PIN was tried; log in by other means first, or set "allowFinalPinTry"',
    )
  }
  if ((flags & CKF_USER_PIN_COUNT_LOW) !== 0 && login.cautious) {
    throw denied(
      'The token reports a wrong PIN since the last login, which may have been this one, so it was not tried again; log in by other means first',
    )
  }
  try {
    // The library requires a PIN; a token with a PIN pad ignores it.
    native.C_Login(session, CKU_USER, login.pin ?? '')
    return true
  } catch (error) {
    if (returnValueOf(error) === CKR_USER_ALREADY_LOGGED_IN) return false
    throw moduleFailure(error, 'Logging in')
  }
}

function denied(message: string): Error {
  return failure('ERR_SIGNER_ACCESS_DENIED', message)
}
