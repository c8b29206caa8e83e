import { SignerError } from '@countersign/core'
import { isRefusal } from './ckr.ts'
import { failure } from './failure.ts'
import { fifo } from './fifo.ts'
import type { KeyDescription } from './find-key.ts'
import { inProcessToken } from './in-process-token.ts'
import { isolatedToken } from './isolated-token.ts'
import type { Permit } from './login.ts'
import type { Mechanism } from './mechanism.ts'
import { type Pin, PinHolder } from './pin-holder.ts'
import type { BoundKey, KeySelector, TokenSelector } from './selector.ts'
import { type Caller, PortLost, type TokenLocation, type TokenPort } from './token-port.ts'

/** What a connection is made from. */
export interface ConnectionSettings {
  readonly location: TokenLocation
  readonly isolate: boolean
  readonly pin: Pin | undefined
  readonly allowFinalPinTry: boolean
}

interface Opening {
  readonly port: TokenPort
  readonly done: Promise<TokenPort>
}

/** A token that several signers share: opened once, and opened again when its process is gone. */
export class Connection {
  readonly #settings: ConnectionSettings
  readonly #pin: PinHolder
  readonly #enter: ReturnType<typeof fifo>
  /** The longest deadline of a signer here: a token that is silent for longer answers nobody in time. */
  #patienceSeconds = 0
  #port: TokenPort | undefined
  #opening: Opening | undefined
  #wasOpen = false
  #closed = false

  constructor(settings: ConnectionSettings) {
    this.#settings = settings
    const { module, sessions } = settings.location
    this.#pin = new PinHolder(module, settings.pin, settings.allowFinalPinTry)
    // A few more than there are sessions are sent ahead, so that none waits for the next message.
    this.#enter = fifo(2 * sessions + 2)
  }

  /** Waits for the token as long as the most patient of its signers. */
  bePatient(seconds: number): void {
    this.#patienceSeconds = Math.max(this.#patienceSeconds, seconds)
  }

  /** Whether another selector means the token of this connection, which is opened to find out. */
  async reaches(selector: TokenSelector): Promise<boolean> {
    const { location } = this.#settings
    try {
      const [own, other] = await this.#attempt(undefined, (port) =>
        Promise.all([port.identify(location.token), port.identify(selector)]),
      )
      return own.slot === other.slot
    } catch {
      // Whoever asks has to open it without this connection, and will see the reason for themselves.
      return false
    }
  }

  /** Whether the login is one by this PIN. */
  hasPin(pin: string | undefined): boolean {
    return this.#pin.has(pin)
  }

  /** Whether the token refused the PIN, so that this connection logs in no more. */
  get wasRefused(): boolean {
    return this.#pin.wasRefused
  }

  describeKey(selector: KeySelector): Promise<KeyDescription> {
    return this.#attempt(undefined, (port) => port.describeKey(selector))
  }

  /** The promise need not settle before the token has answered, whether or not the caller has left. */
  sign(key: BoundKey, mechanism: Mechanism, data: Uint8Array, caller: Caller): Promise<Uint8Array> {
    const sign = () => this.#attempt(caller, (port) => port.sign(key, mechanism, data, caller))
    // In this process, they queue for the sessions themselves.
    return this.#settings.isolate ? this.#enter(caller.signal, sign) : sign()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#opening?.port.kill()
    const port = this.#port
    this.#port = undefined
    await port?.close()
  }

  /** Makes a call, a second time when the process of the module ended under the first. */
  async #attempt<T>(caller: Caller | undefined, call: (port: TokenPort) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const port = this.#port?.gone === false ? this.#port : await this.#open(caller)
      if (caller?.aborted) throw caller.signal.reason
      try {
        return await call(port)
      } catch (error) {
        if (isRefusal(error)) this.#refused(port)
        if (!(error instanceof PortLost)) throw error
        if (caller?.aborted) throw caller.signal.reason
        // Whoever has no deadline of their own has waited for as long as one.
        if (attempt === 2 || this.#closed || (error.how === 'hung' && caller === undefined)) {
          throw this.#described(error)
        }
      }
    }
  }

  async #open(caller: Caller | undefined): Promise<TokenPort> {
    if (this.#closed) throw closed()
    this.#pin.requireNotRefused()
    const joined = this.#opening
    if (joined !== undefined) {
      try {
        return await joined.done
      } catch (error) {
        // It began before this call, and its deadline is not that of this call.
        const late = SignerError.is(error) && error.code === 'ERR_SIGNER_TIMEOUT'
        if (!late || caller?.aborted || this.#closed) throw error
      }
    }
    this.#opening ??= this.#start()
    return this.#opening.done
  }

  #start(): Opening {
    const { location, isolate } = this.#settings
    const patience = () => this.#patienceSeconds
    const permit: Permit = (logIn) => this.#pin.logInAgain(logIn)
    const port = isolate
      ? isolatedToken(location, patience, permit)
      : inProcessToken(location, permit)
    const done = port
      .identify(location.token)
      .then((identity) => this.#pin.logIn(identity, (login) => port.open(login)))
      .then(() => {
        if (this.#closed) throw closed()
        this.#wasOpen = true
        this.#port = port
        return port
      })
      .catch((error) => {
        port.kill()
        throw this.#described(error)
      })
      .finally(() => {
        this.#opening = undefined
      })
    return { port, done }
  }

  /** The PIN was right when the token was opened, and is not any more. */
  #refused(port: TokenPort): void {
    if (this.#port !== port) return
    this.#port = undefined
    this.#pin.refused()
    port.kill()
  }

  #described(error: unknown): unknown {
    if (this.#closed) return closed()
    if (error instanceof PortLost) return lost(error, this.#patienceSeconds)
    if (this.#wasOpen && SignerError.is(error) && error.code === 'ERR_SIGNER_CONFIG') {
      // It was there before, so the options are not to blame.
      return failure('ERR_SIGNER_UNAVAILABLE', error.message, { cause: error })
    }
    return error
  }
}

function lost({ how, message }: PortLost, seconds: number): SignerError {
  if (how === 'hung') {
    return failure(
      'ERR_SIGNER_TIMEOUT',
      `The token gave no answer within ${seconds} s; check that it is up`,
    )
  }
  return failure(
    'ERR_SIGNER_UNAVAILABLE',
    how === 'ended'
      ? `The process that the PKCS#11 module runs in ended (${message}); if it happens again, the module crashes`
      : `The process that the PKCS#11 module is to run in did not start (${message}); it needs the files of this package as they were installed, so leave them out of a bundle, or set "isolate" to false`,
  )
}

/** What those get who use a signer after they have closed it. */
export function closed(): SignerError {
  return failure('ERR_SIGNER_CONFIG', 'This signer was closed; make a new one')
}
