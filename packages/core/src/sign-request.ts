import { createHash } from 'node:crypto'
import { Deadline } from './abort.ts'
import { SignerError } from './error.ts'

/** What a backend is asked to sign; it takes whichever half its key service wants. */
export interface SignRequest {
  /** The JWS signing input itself, as a copy for this backend. */
  readonly message: Uint8Array
  /** Name of the algorithm's hash; `undefined` for EdDSA and ML-DSA, which take the message. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | undefined
  /** Digest of the message under that hash, computed when first read; `undefined` where there is no hash. */
  readonly digest: Uint8Array | undefined
  /** Aborts when the caller aborts or the deadline passes. */
  readonly signal: AbortSignal
  /** Whether that has happened: to ask takes a thousandth of what it takes to make a signal. */
  readonly aborted: boolean
}

/** A request that is bounded by a deadline and the caller's signal. Message and digest are made on demand. */
export class BoundedRequest extends Deadline implements SignRequest {
  readonly hash: SignRequest['hash']
  readonly #input: Uint8Array
  #message: Uint8Array | undefined
  #digest: Uint8Array | undefined

  constructor(
    input: Uint8Array,
    hash: SignRequest['hash'],
    seconds: number,
    callerSignal: AbortSignal | undefined,
    backend: string,
  ) {
    super(seconds, callerSignal, () => tooLate(backend, 'sign', seconds))
    this.#input = input
    this.hash = hash
  }

  get message(): Uint8Array {
    this.#message ??= new Uint8Array(this.#input)
    return this.#message
  }

  get digest(): Uint8Array | undefined {
    if (this.hash === undefined) return undefined
    this.#digest ??= new Uint8Array(createHash(this.hash).update(this.#input).digest())
    return this.#digest
  }
}

/** What a deadline rejects with. */
export function tooLate(backend: string, doing: string, seconds: number): SignerError {
  return new SignerError(
    'ERR_SIGNER_TIMEOUT',
    `${backend} did not ${doing} within ${seconds} s; raise "timeoutSeconds" if the key service needs longer`,
    { backend },
  )
}
