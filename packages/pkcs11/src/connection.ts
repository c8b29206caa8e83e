import { isMainThread } from 'node:worker_threads'
import { SignerError } from '@countersign/core'
import { isPinRefused, returnValueOf } from './ckr.ts'
import { failure } from './failure.ts'
import { fifo } from './fifo.ts'
import type { KeyDescription } from './find-key.ts'
import { inProcessToken } from './in-process-token.ts'
import { isolatedToken } from './isolated-token.ts'
import type { Mechanism } from './mechanism.ts'
import { guardPin } from './pin-guard.ts'
import type { KeySelector } from './selector.ts'
import { PortLost, type TokenLocation, type TokenPort } from './token-port.ts'

/** A PIN, or a function that is asked for it whenever a login is needed. */
export type Pin = string | (() => string | Promise<string>)

/** What a connection is made from. */
export interface ConnectionSettings {
  readonly location: TokenLocation
  readonly isolate: boolean
  readonly pin: Pin | undefined
  readonly allowFinalPinTry: boolean
}

/** A token that several signers share: opened once, and opened again when its process is gone. */
export class Connection {
  readonly #settings: ConnectionSettings
  readonly #enter: ReturnType<typeof fifo>
  readonly #keys = new Map<string, { selector: KeySelector; known: string }>()
  #port: TokenPort | undefined
  #opening: Promise<TokenPort> | undefined
  #cautious = !isMainThread
  #closed = false

  constructor(settings: ConnectionSettings) {
    this.#settings = settings
    const { sessions } = settings.location
    // Behind a channel a few more are sent ahead, so that no session waits for the next message.
    this.#enter = fifo(settings.isolate ? 2 * sessions + 2 : sessions)
  }

  /** Describes a key, and holds every later opening of the token to that description. */
  async describeKey(selector: KeySelector, seconds: number): Promise<KeyDescription> {
    const port = await this.#open(seconds)
    const description = await this.#within(seconds, port, port.describeKey(selector))
    this.#keys.set(JSON.stringify(selector), { selector, known: JSON.stringify(description) })
    return description
  }

  async sign(
    selector: KeySelector,
    mechanism: Mechanism,
    data: Uint8Array,
    signal: AbortSignal,
    seconds: number,
  ): Promise<Uint8Array> {
    const startedAt = performance.now()
    const onAbort = () => this.#endIfHung(signal.reason, startedAt)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await this.#enter(signal, async () => {
        for (let attempt = 1; ; attempt++) {
          const port = await this.#open(seconds)
          signal.throwIfAborted()
          try {
            return await port.sign(selector, mechanism, data)
          } catch (error) {
            if (!(error instanceof PortLost)) throw error
            signal.throwIfAborted()
            if (attempt === 2) throw crashed()
          }
        }
      })
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const port = this.#port ?? (await this.#opening?.catch(() => undefined))
    this.#port = undefined
    await port?.close()
  }

  /** A token that has given no answer for as long as a whole deadline will give none. */
  #endIfHung(reason: unknown, startedAt: number): void {
    const deadline = SignerError.is(reason) && reason.code === 'ERR_SIGNER_TIMEOUT'
    if (deadline && this.#port !== undefined && this.#port.lastAnswerAt < startedAt)
      this.#port.kill()
  }

  #open(seconds: number): Promise<TokenPort> | TokenPort {
    if (this.#closed) throw failure('ERR_SIGNER_CONFIG', 'This signer was closed; make a new one')
    if (this.#port !== undefined && !this.#port.gone) return this.#port
    this.#opening ??= this.#start(seconds).finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #start(seconds: number): Promise<TokenPort> {
    const { location, isolate } = this.#settings
    const port = isolate ? isolatedToken(location) : inProcessToken(location)
    try {
      await this.#logIn(port, seconds)
      for (const { selector, known } of this.#keys.values()) {
        const found = await this.#within(seconds, port, port.describeKey(selector))
        if (JSON.stringify(found) !== known) throw anotherKey()
      }
    } catch (error) {
      port.kill()
      throw error instanceof PortLost ? crashed() : error
    }
    this.#port = port
    return port
  }

  async #logIn(port: TokenPort, seconds: number): Promise<void> {
    const { location, pin: setting, allowFinalPinTry } = this.#settings
    const { label, serial, loginRequired, hasPinPad } = await this.#within(
      seconds,
      port,
      port.identify(),
    )
    if (setting === undefined && !loginRequired) {
      await this.#within(seconds, port, port.open(undefined))
      return
    }
    if (setting === undefined && !hasPinPad) {
      throw failure(
        'ERR_SIGNER_ACCESS_DENIED',
        `The token ${JSON.stringify(label)} wants a login; give its "pin"`,
      )
    }
    const pin: unknown = typeof setting === 'function' ? await setting() : setting
    if (pin !== undefined && typeof pin !== 'string')
      throw new TypeError('the PIN must be a string')
    const login = { pin, allowFinalTry: allowFinalPinTry, cautious: this.#cautious }
    const token = JSON.stringify([location.module, label, serial])
    const logIn = async () => {
      // Should it end under the login, nobody knows what became of the PIN.
      this.#cautious = true
      await this.#within(seconds, port, port.open(login))
      this.#cautious = !isMainThread
    }
    await guardPin(token, pin, logIn, isRefusal)
  }

  /** Bounds a step of the opening; a token that does not come back from one is ended. */
  #within<T>(seconds: number, port: TokenPort, step: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        port.kill()
        reject(
          failure(
            'ERR_SIGNER_TIMEOUT',
            `The token did not open within ${seconds} s; check that it is up`,
          ),
        )
      }, seconds * 1000)
      step.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }
}

function isRefusal(error: unknown): boolean {
  const value = SignerError.is(error) ? returnValueOf(error.cause) : undefined
  return value !== undefined && isPinRefused(value)
}

function crashed(): SignerError {
  return failure(
    'ERR_SIGNER_UNAVAILABLE',
    'The process that the PKCS#11 module runs in ended; if it happens again, the module crashes',
  )
}

function anotherKey(): SignerError {
  return failure(
    'ERR_SIGNER_INTEGRITY',
    'The token has another key under this name now; make a new signer for it',
  )
}
