import { failure } from './failure.ts'
import type { Login, Permission } from './login.ts'
import { guardPin, rememberRefusal, type Trial } from './pin-guard.ts'
import type { TokenIdentity } from './token.ts'

/** A PIN, or a function that is asked for it whenever a login is needed. */
export type Pin = string | (() => string | Promise<string>)

/** Gives one token its PIN, each time under the guard of what became of it before. */
export class PinHolder {
  readonly #module: string
  readonly #setting: Pin | undefined
  readonly #allowFinalTry: boolean
  /** The last one that was given to the token. */
  #trial: Trial | undefined
  /** The PIN that the module's process has. */
  #given: string | undefined

  constructor(module: string, setting: Pin | undefined, allowFinalTry: boolean) {
    this.#module = module
    this.#setting = setting
    this.#allowFinalTry = allowFinalTry
  }

  /** The first login after a start of the module. */
  async logIn(
    identity: TokenIdentity,
    seconds: number,
    open: (login: Login | undefined) => Promise<void>,
  ): Promise<void> {
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
    await guardPin(trial, seconds, (cautious) => open({ pin, allowFinalTry, cautious }))
  }

  /** A login under way, since the last one was lost. */
  async logInAgain(
    seconds: number,
    logIn: (permission: Permission) => void | Promise<void>,
  ): Promise<void> {
    const before = this.#trial
    if (this.#setting === undefined || before === undefined) return logIn({ cautious: false })
    const pin = await askForPin(this.#setting)
    const trial = { token: before.token, pin }
    await guardPin(trial, seconds, async (cautious) => {
      this.#trial = trial
      await logIn(pin === this.#given ? { cautious } : { cautious, pin })
      this.#given = pin
    })
  }

  /** Whether the module's process logged in with this PIN, or without any. */
  has(pin: string | undefined): boolean {
    return this.#given === pin
  }

  /** The token refused the PIN that it had accepted before. */
  async refused(): Promise<void> {
    if (this.#trial !== undefined) await rememberRefusal(this.#trial)
  }
}

/** The PIN, asked for if need be. */
export async function askForPin(setting: Pin): Promise<string> {
  const pin: unknown = typeof setting === 'function' ? await setting() : setting
  if (typeof pin !== 'string') throw new TypeError('the PIN must be a string')
  return pin
}
