import type { PKCS11 } from 'pkcs11js'
import { isRefusal } from './ckr.ts'
import {
  CKF_LOGIN_REQUIRED,
  CKF_PROTECTED_AUTHENTICATION_PATH,
  CKU_CONTEXT_SPECIFIC,
} from './constants.ts'
import type { Cryptoki } from './cryptoki.ts'
import { failure } from './failure.ts'
import { type FoundKey, findKey, type KeyDescription } from './find-key.ts'
import { findToken } from './find-token.ts'
import { KeptToken } from './kept-token.ts'
import type { Login, Permit } from './login.ts'
import type { Mechanism } from './mechanism.ts'
import type { OpenedToken } from './opened-token.ts'
import type { BoundKey, KeySelector, TokenSelector } from './selector.ts'
import { Outdated } from './session-pool.ts'
import { readUlong } from './ulong.ts'

/** Which token was found. */
export interface TokenIdentity {
  readonly label: string
  readonly serial: string
  /** What tells it from others, whichever module it is reached through. */
  readonly name: string
  readonly slot: number
  readonly loginRequired: boolean
  /** Whether the token asks for its PIN itself, on a pad of its own. */
  readonly hasPinPad: boolean
}

const longestSignature = 1024

/** No octets, but at an address: the library hands NULL on for other empty buffers, and modules refuse that. */
const nothing = Buffer.alloc(1).subarray(0, 0)

/** A token in this process, its keys and its signatures. */
export class Token {
  readonly #cryptoki: Cryptoki
  readonly #kept: KeptToken
  readonly #outputs = new WeakMap<Buffer, Buffer>()

  constructor(cryptoki: Cryptoki, selector: TokenSelector, sessions: number, permit: Permit) {
    this.#cryptoki = cryptoki
    this.#kept = new KeptToken(cryptoki, selector, sessions, permit)
  }

  /** Finds the token, or another one; nothing is opened yet. */
  identify(selector: TokenSelector): TokenIdentity {
    const { label, serial, name, slot, flags } = findToken(this.#cryptoki.native, selector)
    return {
      label,
      serial,
      name,
      slot: readUlong(slot),
      loginRequired: (flags & CKF_LOGIN_REQUIRED) !== 0,
      hasPinPad: (flags & CKF_PROTECTED_AUTHENTICATION_PATH) !== 0,
    }
  }

  /** Opens the token and logs in; returns whether the token accepted the PIN. */
  open(login: Login | undefined): Promise<boolean> {
    return this.#kept.open(login)
  }

  describeKey(selector: KeySelector): Promise<KeyDescription> {
    return this.#kept.attempt('Reading the key', true, async (opened) => {
      // Without the login, the token would deny that there is such a key.
      await this.#kept.logInAgain(opened)
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
    return this.#kept.attempt('Signing', false, async (opened) => {
      const { sessions } = opened
      const lent = sessions.lend()
      const session = lent instanceof Promise ? await lent : lent
      if (!opened.current || !isWanted()) {
        sessions.giveBack(session)
        throw opened.current ? new Error('nobody waits for this signature') : new Outdated()
      }
      try {
        const signature = Buffer.from(await this.#signIn(opened, session, key, mechanism, data))
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
    this.#kept.end('closed')
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
    if (alwaysAuthenticate) this.#logInForOne(session)
    const octets = data.byteLength === 0 ? nothing : data
    return this.#cryptoki.run(() => native.C_SignAsync(session, octets, this.#outputOf(session)))
  }

  /** Where the signatures of a session are written, one after the other. */
  #outputOf(session: Buffer): Buffer {
    const known = this.#outputs.get(session)
    if (known !== undefined) return known
    const output = Buffer.alloc(longestSignature)
    this.#outputs.set(session, output)
    return output
  }

  /** The login that a key wants before each signature. */
  #logInForOne(session: Buffer): void {
    try {
      this.#cryptoki.native.C_Login(session, CKU_CONTEXT_SPECIFIC, this.#kept.pin)
    } catch (error) {
      // At once, before the next one in line gives it again.
      if (isRefusal(error)) this.#kept.end('refused')
      throw error
    }
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
}
