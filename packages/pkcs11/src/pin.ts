import { createHmac, randomBytes } from 'node:crypto'
import { SignerError } from '@countersign/core'
import { failure, isRefusal } from './errors.ts'
import type { ConnectionOptions, Pin } from './options.ts'
import type { Login, TokenIdentity } from './token.ts'

/** Logs in. Returns whether the token accepted the PIN; `false` if the process was logged in before. */
type LogIn = (login: Login | undefined) => Promise<boolean>

/**
 * Logs in to one token, within the limits of {@link guardPin}.
 *
 * After a refusal it does not log in again: a function could return a wrong PIN each time, and recovery would lock the
 * token.
 */
export class PinHolder {
  readonly #module: string
  readonly #pin: Pin | undefined
  readonly #allowFinalTry: boolean
  /** The last PIN that was sent to the token. */
  #given: Trial | undefined
  #wasRefused = false

  constructor({ location, pin, allowFinalPinTry }: ConnectionOptions) {
    this.#module = location.module
    this.#pin = pin
    this.#allowFinalTry = allowFinalPinTry
  }

  /** Logs in after a start of the module. */
  async logIn(identity: TokenIdentity, logIn: LogIn): Promise<void> {
    this.requireNotRefused()
    try {
      await this.#tryToLogIn(identity, logIn)
    } catch (error) {
      if (isRefusal(error)) this.#wasRefused = true
      throw error
    }
  }

  /** Whether the last login was with this PIN, or without one if it is `undefined`. */
  has(pin: string | undefined): boolean {
    return this.#given?.pin === pin
  }

  /** Whether the token refused a PIN. After that, only a new signer can log in. */
  get wasRefused(): boolean {
    return this.#wasRefused
  }

  requireNotRefused(): void {
    if (!this.#wasRefused) return
    throw denied(
      'The token refused the PIN of this signer, so no other PIN is tried for it; make a new signer with the right one',
    )
  }

  /** Records that the token refused a PIN that it accepted before. */
  refused(): void {
    this.#wasRefused = true
    if (this.#given !== undefined) addRefusal(historyOf(this.#given.token), hash(this.#given))
  }

  async #tryToLogIn(
    { label, serial, name, loginRequired, hasPinPad }: TokenIdentity,
    logIn: LogIn,
  ): Promise<void> {
    const allowFinalTry = this.#allowFinalTry
    if (this.#pin !== undefined) {
      const pin = await askForPin(this.#pin)
      // Without a serial number, tokens of two modules can have one name.
      const token = serial === '' ? JSON.stringify([this.#module, name]) : name
      this.#given = { token, pin }
      await guardPin(this.#given, (cautious) => logIn({ pin, allowFinalTry, cautious }))
    } else if (!loginRequired) await logIn(undefined)
    else if (hasPinPad) await logIn({ allowFinalTry, cautious: false })
    else throw denied(`The token ${JSON.stringify(label)} requires a login; give its "pin"`)
  }
}

/** The PIN, which a function is asked for. */
export async function askForPin(pin: Pin): Promise<string> {
  const value: unknown = typeof pin === 'function' ? await pin() : pin
  if (typeof value !== 'string') throw new TypeError('the PIN must be a string')
  return value
}

/** The key of the PINs' hashes, so that they are useless outside this process. */
const key = randomBytes(32)

/** Some tokens lock at the third wrong PIN. */
const mostRefusalsInARow = 2

/** The results of the logins at one token. PINs are stored as hashes. */
interface LoginHistory {
  readonly refused: Set<string>
  /** PINs whose login failed without an answer about the PIN. */
  readonly unanswered: Set<string>
  /** The PIN of the last successful login. */
  accepted: string | undefined
  refusalsInARow: number
  /** Settles when the latest login is done. The next login waits for it. */
  latest: Promise<unknown>
}

const histories = new Map<string, LoginHistory>()

/** A PIN and the token that it is for. */
interface Trial {
  /** Identifies the token, whichever module it is reached through. */
  readonly token: string
  readonly pin: string
}

/**
 * Logs in, unless this process knows that the PIN is wrong or that one more wrong PIN could lock the token.
 *
 * Logins at one token run one after another, so that each one knows the results of those before it. Each worker thread
 * has its own history.
 *
 * @param logIn - sends the PIN to the token; `cautious` says that it may have been sent before, with an unknown result.
 */
async function guardPin(
  trial: Trial,
  logIn: (cautious: boolean) => Promise<boolean>,
): Promise<void> {
  const history = historyOf(trial.token)
  const login = history.latest.catch(() => {}).then(() => tryPin(history, hash(trial), logIn))
  history.latest = login
  await login
}

async function tryPin(
  history: LoginHistory,
  pin: string,
  logIn: (cautious: boolean) => Promise<boolean>,
): Promise<void> {
  if (history.refused.has(pin)) {
    throw denied(
      'The token refused this PIN before, so it was not tried again; make a new signer with the right one',
    )
  }
  if (history.refusalsInARow >= mostRefusalsInARow && pin !== history.accepted) {
    throw denied(
      `The token refused ${history.refusalsInARow} PINs in a row, so this process tries no other, which could lock it; find the right PIN by other means, then restart the process`,
    )
  }
  try {
    const accepted = await logIn(pin !== history.accepted && history.unanswered.has(pin))
    if (!accepted) return
  } catch (error) {
    if (isRefusal(error)) addRefusal(history, pin)
    else if (!SignerError.is(error) || error.code !== 'ERR_SIGNER_ACCESS_DENIED') {
      history.unanswered.add(pin)
    }
    throw error
  }
  history.accepted = pin
  history.refusalsInARow = 0
  history.unanswered.delete(pin)
}

function addRefusal(history: LoginHistory, pin: string): void {
  if (history.refused.has(pin)) return
  history.refused.add(pin)
  history.refusalsInARow++
  if (history.accepted === pin) history.accepted = undefined
}

function historyOf(token: string): LoginHistory {
  let history = histories.get(token)
  if (history === undefined) {
    history = {
      refused: new Set(),
      unanswered: new Set(),
      accepted: undefined,
      refusalsInARow: 0,
      latest: Promise.resolve(),
    }
    histories.set(token, history)
  }
  return history
}

function hash({ token, pin }: Trial): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([token, pin]))
    .digest('base64url')
}

function denied(message: string): Error {
  return failure('ERR_SIGNER_ACCESS_DENIED', message)
}
