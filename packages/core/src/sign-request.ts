import { createHash } from 'node:crypto'
import { Deadline } from './deadline.ts'
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

/** A request that is bounded by a deadline and the caller's signal. Its digest is made on demand. */
export class BoundedRequest extends Deadline implements SignRequest {
  readonly message: Uint8Array
  readonly hash: SignRequest['hash']
  #digest: Uint8Array | undefined

  constructor(
    message: Uint8Array,
    hash: SignRequest['hash'],
    seconds: number,
    callerSignal: AbortSignal | undefined,
    backend: string,
  ) {
    super(seconds, callerSignal, () => tooLate(backend, 'sign', seconds))
    this.message = message
    this.hash = hash
  }

  get digest(): Uint8Array | undefined {
    if (this.hash === undefined) return undefined
    this.#digest ??= createHash(this.hash).update(this.message).digest()
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
