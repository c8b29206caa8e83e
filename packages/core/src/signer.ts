import { isJwsAlgorithm, type JwsAlgorithm } from './algorithm.ts'
import type { PublicJwk } from './public-key.ts'

/** Options of {@link Signer.sign}. */
export interface SignOptions {
  /** Stops waiting; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** How a key service says that it keeps a key. */
export type KeyProtection = 'software' | 'hsm' | 'external'

/**
 * A key that signs, wherever it is kept: public data and one method.
 *
 * `createSigner` makes one from a backend; third parties should use it for theirs.
 *
 * @see [RFC 7515 §5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)
 */
export interface Signer {
  /** The one algorithm this signer uses, RFC 7515 §4.1.1. */
  readonly alg: JwsAlgorithm
  /** The key ID that verifiers know the key by, RFC 7515 §4.1.4; by default the RFC 7638 thumbprint. */
  readonly kid: string
  /** The public half, ready for a JWKS, with `kid`, `alg` and `use: 'sig'`. */
  readonly publicJwk: PublicJwk
  /** How the key is kept, where its service says so; for information only. */
  readonly protection?: KeyProtection | undefined
  /**
   * Signs a JWS signing input.
   *
   * @param signingInput - the octets to sign, not a digest of them; hashing is the signer's job.
   * @returns the octets of the JWS signature: r ‖ s for ECDSA (RFC 7518 §3.4), the plain signature for all others.
   * @throws {@link SignerError} with the code of what went wrong; `signal.reason` when aborted.
   */
  sign(signingInput: Uint8Array, options?: SignOptions): Promise<Uint8Array>
}

/**
 * A source of signatures whose key may be replaced while it is used.
 *
 * It is not a {@link Signer}, since a header that was written for one key must not be signed by the next. Every
 * function that takes a `SignerSource` takes it.
 */
export interface RotatingSigner {
  /** The signer in use; `undefined` until the first one is loaded, and after `close()`. */
  readonly current: Signer | undefined
  /**
   * Resolves with this source when its first signer is loaded, and rejects with the error of that load, so that a wrong
   * configuration fails at start and not at first use.
   */
  ready(options?: SignOptions): Promise<RotatingSigner>
  /**
   * Runs an action with the signer in use, which stays open until the action ends. If the action fails with a
   * `SignerError` that says that the key is disabled, missing or replaced, it is run once more with the successor.
   *
   * @param action - makes everything that depends on the signer, headers included.
   */
  use<T>(action: (signer: Signer) => T | PromiseLike<T>, options?: SignOptions): Promise<T>
  /**
   * Loads the successor of a signer that a server refused. All callers share one load, and the same signer is not
   * replaced again before a delay.
   *
   * @returns whether another signer is in use now.
   */
  replace(refused: Signer, options?: SignOptions): Promise<boolean>
  /** Loads the key again now. A failure leaves the signer in use as it is. */
  reload(options?: SignOptions): Promise<void>
  /** Closes the signer after its last use, and loads no other. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** The source of signatures that functions take: one key, or a key that may be replaced while it is used. */
export type SignerSource = Signer | RotatingSigner

/** Makes sure that a value has the shape of a signer. */
export function requireSigner(value: Signer, what = 'the first argument'): Signer {
  if (typeof value?.sign === 'function' && isJwsAlgorithm(value.alg)) return value
  throw new TypeError(`${what} must be a signer`)
}

/** The signer that a source uses now. */
export function currentSigner(source: SignerSource): Signer {
  if (!isRotating(source)) return requireSigner(source)
  if (source.current !== undefined) return source.current
  throw new TypeError(
    'the rotating signer has no key now; await its ready() before its public key is asked for',
  )
}

/** Tells a rotating signer from one that is bound to one key. */
export function isRotating(source: SignerSource): source is RotatingSigner {
  return typeof (source as Partial<RotatingSigner> | undefined)?.use === 'function'
}
