import { realpath } from 'node:fs/promises'
import { SignerError } from '@countersign/core'
import type { PKCS11 } from 'pkcs11js'
import type { Mechanism } from './algorithms.ts'
import { closed, failure, isRefusal, lossBehind } from './errors.ts'
import type { BoundKey, KeyDescription } from './key.ts'
import { startModule } from './module.ts'
import type { ConnectionOptions, KeySelector, TokenLocation, TokenSelector } from './options.ts'
import { PinHolder } from './pin.ts'
import { type Caller, isolatedToken, ProcessLost, type TokenPort } from './subprocess.ts'
import { Token } from './token.ts'

interface Opening {
  readonly port: TokenPort
  readonly done: Promise<TokenPort>
}

/** The delay between two restarts for an error that can also have another cause. */
const secondsBetweenRestarts = 10

/**
 * A token that several signers share.
 *
 * All recovery is in this class: when the token, its sessions or its login are lost, it ends the subprocess, starts
 * another one, and makes the call once more.
 */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #pin: PinHolder
  /** The longest timeout of the signers: an answer after that is too late for all of them. */
  #timeoutSeconds = 0
  #port: TokenPort | undefined
  #opening: Opening | undefined
  #hasSigned = false
  #openedAt = Number.NEGATIVE_INFINITY
  #restartedAt = Number.NEGATIVE_INFINITY
  #wasOpen = false
  #isLost = false
  #closed = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#pin = new PinHolder(options)
  }

  /** Adds a signer's timeout. The longest one decides when the subprocess hangs. */
  allowSeconds(seconds: number): void {
    this.#timeoutSeconds = Math.max(this.#timeoutSeconds, seconds)
  }

  /** Whether a new signer can share it. */
  get usable(): boolean {
    return !this.#pin.wasRefused && !this.#isLost
  }

  /** Whether another selector means the token of this connection. Opens the connection, if necessary. */
  async reaches(selector: TokenSelector): Promise<boolean> {
    const { token } = this.#options.location
    try {
      const [own, other] = await this.#attempt(undefined, (port) =>
        Promise.all([port.identify(token), port.identify(selector)]),
      )
      return own.slot === other.slot
    } catch {
      // The caller opens the token without this connection, which shows the reason.
      return false
    }
  }

  /** Whether it logged in with this PIN. */
  hasPin(pin: string | undefined): boolean {
    return this.#pin.has(pin)
  }

  describeKey(selector: KeySelector): Promise<KeyDescription> {
    return this.#attempt(undefined, (port) => port.describeKey(selector))
  }

  /** Makes a signature. The promise may settle only when the token answers, also after an abort. */
  async sign(
    key: BoundKey,
    mechanism: Mechanism,
    data: Uint8Array,
    caller: Caller,
  ): Promise<Uint8Array> {
    const signature = await this.#attempt(caller, (port) => port.sign(key, mechanism, data, caller))
    this.#hasSigned = true
    return signature
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#opening?.port.kill()
    const port = this.#port
    this.#port = undefined
    await port?.close()
  }

  /** Makes a call, and once more in a new subprocess when the first one ended or lost the token. */
  async #attempt<T>(caller: Caller | undefined, call: (port: TokenPort) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const port = this.#port?.gone === false ? this.#port : await this.#open(caller)
      if (caller?.aborted) throw caller.signal.reason
      try {
        return await call(port)
      } catch (error) {
        if (isRefusal(error)) this.#refused(port)
        else if (!this.#options.isolate) throw this.#describeInProcess(error)
        const isOver = error instanceof ProcessLost || this.#endIfLost(port, error)
        if (caller?.aborted) throw caller.signal.reason
        // A caller without a deadline has already waited for a whole timeout.
        const waited = error instanceof ProcessLost && error.how === 'hung' && caller === undefined
        if (!isOver || attempt === 2 || this.#closed || waited) throw this.#describe(error)
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
        // Opening began before this call, so its deadline was earlier than that of this call.
        const late = SignerError.is(error) && error.code === 'ERR_SIGNER_TIMEOUT'
        if (!late || caller?.aborted || this.#closed) throw error
      }
    }
    this.#opening ??= this.#start()
    return this.#opening.done
  }

  #start(): Opening {
    const { location, isolate } = this.#options
    const port = isolate
      ? isolatedToken(location, () => this.#timeoutSeconds)
      : inProcessToken(location)
    const open = async () => {
      try {
        const identity = await port.identify(location.token)
        await this.#pin.logIn(identity, (login) => port.open(login))
        if (this.#closed) throw closed()
      } catch (error) {
        port.kill()
        throw this.#describeOpening(error)
      } finally {
        this.#opening = undefined
      }
      this.#wasOpen = true
      this.#hasSigned = false
      this.#openedAt = performance.now()
      this.#port = port
      return port
    }
    return { port, done: open() }
  }

  /** Ends the connection when the token refuses a PIN that it accepted before. */
  #refused(port: TokenPort): void {
    if (this.#port !== port) return
    this.#pin.refused()
    this.#end(port)
  }

  /** Ends the subprocess when an error says that it has lost the token. Returns whether it is ended. */
  #endIfLost(port: TokenPort, error: unknown): boolean {
    // A token that was removed, or that ended the login, shows no keys.
    const showsNoKey = SignerError.is(error) && error.code === 'ERR_SIGNER_KEY_NOT_FOUND'
    const loss = lossBehind(error) ?? (showsNoKey ? 'possible' : undefined)
    if (loss === undefined) return false
    // Another call may have ended it meanwhile.
    if (this.#port !== port) return true
    if (loss === 'possible' && !this.#mayRestart()) return false
    this.#end(port)
    return true
  }

  /**
   * Whether the module may be restarted for an error that can also have another cause: not if it has just started and has
   * not signed yet, and not too often, since one bad key must not disturb the signers of others.
   */
  #mayRestart(): boolean {
    const now = performance.now()
    const isLongAgo = (time: number) => now - time >= secondsBetweenRestarts * 1000
    if (!(this.#hasSigned || isLongAgo(this.#openedAt)) || !isLongAgo(this.#restartedAt))
      return false
    this.#restartedAt = now
    return true
  }

  #end(port: TokenPort): void {
    this.#port = undefined
    port.kill()
  }

  /** Describes the error of a module in this process, which is not recovered. */
  #describeInProcess(error: unknown): unknown {
    if (lossBehind(error) === undefined || !SignerError.is(error)) return this.#describe(error)
    this.#isLost = true
    const { code, message, retryable, cause } = error
    return failure(
      code,
      `${message}; nothing is recovered with "isolate: false": make a new signer, or restart the process`,
      { retryable, cause },
    )
  }

  #describe(error: unknown): unknown {
    if (this.#closed) return closed()
    return error instanceof ProcessLost ? describeLoss(error, this.#timeoutSeconds) : error
  }

  /** Describes an error while the token is opened. If it was open before, the options were right. */
  #describeOpening(error: unknown): unknown {
    const isConfig = SignerError.is(error) && error.code === 'ERR_SIGNER_CONFIG'
    if (!(this.#wasOpen && isConfig) || this.#closed) return this.#describe(error)
    return failure('ERR_SIGNER_UNAVAILABLE', error.message, { cause: error })
  }
}

function describeLoss({ how, message }: ProcessLost, seconds: number): SignerError {
  if (how === 'hung') {
    return failure(
      'ERR_SIGNER_TIMEOUT',
      `The token did not answer within ${seconds} s; check that it is up`,
    )
  }
  return failure(
    'ERR_SIGNER_UNAVAILABLE',
    how === 'ended'
      ? `The subprocess of the PKCS#11 module ended (${message}); if this happens again, the module crashes`
      : `The subprocess of the PKCS#11 module did not start (${message}); it needs the files of this package as they were installed, so exclude the package from a bundle, or set "isolate" to false`,
  )
}

const modules = new Map<string, { native: Promise<PKCS11>; parameters: string | undefined }>()

/** Loads each module once for this process. */
async function sharedModule(location: TokenLocation): Promise<PKCS11> {
  const { module, libraryParameters: parameters } = location
  const path = await realpath(module).catch(() => module)
  let shared = modules.get(path)
  if (shared === undefined) {
    shared = { native: startModule(location), parameters }
    modules.set(path, shared)
    shared.native.catch(() => modules.delete(path))
  }
  if (shared.parameters === parameters) return shared.native
  throw failure(
    'ERR_SIGNER_CONFIG',
    `The PKCS#11 module ${module} already runs in this process with other "libraryParameters"; without "isolate: false" it runs in a subprocess`,
  )
}

/** A token whose module runs in this process. */
function inProcessToken(location: TokenLocation): TokenPort {
  let token: Token | undefined
  let gone = false
  function opened(): Token {
    if (token === undefined || gone) throw closed()
    return token
  }
  const close = () => {
    gone = true
    return token?.close() ?? Promise.resolve()
  }
  return {
    async identify(selector) {
      token ??= new Token(await sharedModule(location), location)
      return token.identify(selector)
    },
    open: async (login) => opened().open(login),
    describeKey: async (selector) => opened().describeKey(selector),
    async sign(key, mechanism, { buffer, byteOffset, byteLength }, caller) {
      const data = Buffer.from(buffer, byteOffset, byteLength)
      return opened().sign(key, mechanism, data, () => !caller.aborted)
    },
    close,
    kill: () => void close(),
    get gone() {
      return gone
    },
  }
}
