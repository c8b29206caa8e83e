import { isRefusal } from './ckr.ts'
import { failure } from './failure.ts'
import type { Login, Permission } from './login.ts'
import { guardPin, rememberRefusal, type Trial } from './pin-guard.ts'
import type { TokenIdentity } from './token.ts'

/** A PIN, or a function that is asked for it whenever a login is needed. */
export type Pin = string | (() => string | Promise<string>)

/**
 * Gives one token its PIN, within the limits of {@link guardPin}.
 *
 * After a refusal it gives no PIN at all: a function could return a wrong one each time, and recovery would lock the
 * token without anybody's decision.
 */
export class PinHolder {
  readonly #module: string
  readonly #setting: Pin | undefined
  readonly #allowFinalTry: boolean
  /** The last one that was given to the token. */
  #trial: Trial | undefined
  /** The PIN that the module's process has. */
  #given: string | undefined
  #wasRefused = false

  constructor(module: string, setting: Pin | undefined, allowFinalTry: boolean) {
    this.#module = module
    this.#setting = setting
    this.#allowFinalTry = allowFinalTry
  }

  /** Logs in for the first time after a start of the module. */
  logIn(
    identity: TokenIdentity,
    open: (login: Login | undefined) => Promise<boolean>,
  ): Promise<void> {
    return this.#untilRefused(async () => {
      const { label, serial, name, loginRequired, hasPinPad } = identity
      const allowFinalTry = this.#allowFinalTry
      if (this.#setting === undefined) {
        if (!loginRequired) return open(undefined)
        if (hasPinPad) return open({ allowFinalTry, cautious: false })
        throw failure(
          'ERR_SIGNER_ACCESS_DENIED',
          `The token ${JSON.stringify(label)} wants a login; give its "pin"`,
        )
      }
      const pin = await askForPin(this.#setting)
      // Without a serial number, tokens of two modules can have one name.
      const trial = { token: serial === '' ? JSON.stringify([this.#module, name]) : name, pin }
      this.#trial = trial
      this.#given = pin
      return guardPin(trial, (cautious) => open({ pin, allowFinalTry, cautious }))
    })
  }

  /** Logs in again while the module runs, since the last login was lost. */
  logInAgain(logIn: (permission: Permission) => boolean | Promise<boolean>): Promise<void> {
    return this.#untilRefused(async () => {
      const before = this.#trial
      if (this.#setting === undefined || before === undefined) return logIn({ cautious: false })
      const pin = await askForPin(this.#setting)
      const trial = { token: before.token, pin }
      return guardPin(trial, async (cautious) => {
        // Another call may have been refused while this one waited.
        this.requireNotRefused()
        this.#trial = trial
        const accepted = await logIn(pin === this.#given ? { cautious } : { cautious, pin })
        if (accepted) this.#given = pin
        return accepted
      })
    })
  }

  /** Whether the module's process logged in with this PIN, or without any. */
  has(pin: string | undefined): boolean {
    return this.#given === pin
  }

  /** Whether the token refused a PIN from here, so that only a new signer can log in. */
  get wasRefused(): boolean {
    return this.#wasRefused
  }

  requireNotRefused(): void {
    if (!this.#wasRefused) return
    throw failure(
      'ERR_SIGNER_ACCESS_DENIED',
      'The token refused the PIN of this signer, so no other PIN is tried for it; make a new signer with the right one',
    )
  }

  /** Records that the token refused the PIN that it had accepted before. */
  refused(): void {
    this.#wasRefused = true
    if (this.#trial !== undefined) rememberRefusal(this.#trial)
  }

  async #untilRefused(logIn: () => unknown): Promise<void> {
    this.requireNotRefused()
    try {
      await logIn()
    } catch (error) {
      if (isRefusal(error)) this.#wasRefused = true
      throw error
    }
  }
}

/** The PIN, asked for if need be. */
export async function askForPin(setting: Pin): Promise<string> {
  const pin: unknown = typeof setting === 'function' ? await setting() : setting
  if (typeof pin !== 'string') throw new TypeError('the PIN must be a string')
  return pin
}
