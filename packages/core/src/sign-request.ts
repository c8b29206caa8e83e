import { createHash } from 'node:crypto'
import { onAbort } from './abort-listener.ts'
import { SignerError } from './error.ts'

/** What a backend is asked to sign; it takes whichever half its key service wants. */
export interface SignRequest {
  /** The JWS signing input itself. */
  readonly message: Uint8Array
  /** Name of the algorithm's hash; `undefined` for EdDSA and ML-DSA, which take the message. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | undefined
  /** Digest of the message under that hash, computed when first read; `undefined` where there is no hash. */
  readonly digest: Uint8Array | undefined
  /** Aborts when the caller gave up or the deadline passed. */
  readonly signal: AbortSignal
  /** Whether that has happened: to ask takes a thousandth of what it takes to make a signal. */
  readonly aborted: boolean
}

/**
 * A request that is bounded by a deadline and the caller's signal.
 *
 * Digest, signal and timer are made on demand, so that a backend that answers without waiting pays
 * for none of them.
 */
export class BoundedRequest implements SignRequest {
  readonly message: Uint8Array
  readonly hash: SignRequest['hash']
  readonly #seconds: number
  readonly #callerSignal: AbortSignal | undefined
  readonly #backend: string
  #digest: Uint8Array | undefined
  #controller: AbortController | undefined
  #failure: { readonly reason: unknown } | undefined

  constructor(
    message: Uint8Array,
    hash: SignRequest['hash'],
    seconds: number,
    callerSignal: AbortSignal | undefined,
    backend: string,
  ) {
    this.message = message
    this.hash = hash
    this.#seconds = seconds
    this.#callerSignal = callerSignal
    this.#backend = backend
  }

  get digest(): Uint8Array | undefined {
    if (this.hash === undefined) return undefined
    this.#digest ??= createHash(this.hash).update(this.message).digest()
    return this.#digest
  }

  get aborted(): boolean {
    return this.#failure !== undefined
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#failure !== undefined) this.#controller.abort(this.#failure.reason)
    }
    return this.#controller.signal
  }

  /** Settles as the backend does, or rejects on the caller's abort or at the deadline, whichever is first. */
  settle<T>(promise: PromiseLike<T>): Promise<T> {
    const signal = this.#callerSignal
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        leave?.()
      }
      const fail = (reason: unknown) => {
        end()
        this.#failure = { reason }
        reject(reason)
        this.#controller?.abort(reason)
      }
      const abort = () => fail(signal?.reason)
      const leave = signal && onAbort(signal, abort)
      const timer = setTimeout(() => fail(this.#timeout()), this.#seconds * 1000)
      if (signal?.aborted) abort()
      Promise.resolve(promise).then(
        (value) => {
          end()
          resolve(value)
        },
        (reason) => {
          end()
          reject(reason)
        },
      )
    })
  }

  #timeout(): SignerError {
    return new SignerError(
      'ERR_SIGNER_TIMEOUT',
      `${this.#backend} did not sign within ${this.#seconds} s; raise "timeoutSeconds" if the key service needs longer`,
      { backend: this.#backend },
    )
  }
}
