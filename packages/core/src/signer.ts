import { isJwsAlgorithm, type JwsAlgorithm } from './algorithm.ts'
import type { PublicJwk } from './public-key.ts'

/** Options of {@link Signer.sign}. */
export interface SignOptions {
  /** Gives up waiting; the promise then rejects with `signal.reason` as it is. */
  readonly signal?: AbortSignal | undefined
}

/** How a key service says that it keeps a key. */
export type KeyProtection = 'software' | 'hsm' | 'external'

/**
 * A key that signs, wherever it is kept: three facts and one verb.
 *
 * `createSigner` makes one from a backend, and is how a third party should make his own.
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
  /** How the key is kept, where its service says so; nothing here depends on it. */
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
 * It is no {@link Signer}, since a header that was written for one key must not be signed by the next. Whatever takes
 * a `SignerSource` takes it.
 */
export interface RotatingSigner {
  /** The signer in use; `undefined` until the first one is loaded, and after `close()`. */
  readonly current: Signer | undefined
  /**
   * Resolves with this source when it has a signer, and rejects with what loading one came to: what makes it fail when
   * it is made and not when it is first used.
   */
  ready(options?: SignOptions): Promise<RotatingSigner>
  /**
   * Does something with the signer in use, which is not closed before that is over; and does it once more, with the
   * successor, when it ends in a `SignerError` that tells of a key that is disabled, gone or replaced.
   *
   * @param action - makes all that depends on the signer, headers included, anew each time.
   */
  use<T>(action: (signer: Signer) => T | PromiseLike<T>, options?: SignOptions): Promise<T>
  /**
   * Looks for the successor of a signer that somebody refuses, with one load that all callers share; for the same
   * signer not again before a pause.
   *
   * @returns whether another signer is in use now.
   */
  replace(refused: Signer, options?: SignOptions): Promise<boolean>
  /** Loads the key anew now. A failure leaves the signer in use as it is. */
  reload(options?: SignOptions): Promise<void>
  /** Closes the signer in use after what is under way with it, and loads no other. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What every function that needs a signature takes: a key, or one that is replaced while it is used. */
export type SignerSource = Signer | RotatingSigner

/** Makes sure that a value has the shape of a signer. */
export function requireSigner(value: Signer, what = 'the first argument'): Signer {
  if (typeof value?.sign === 'function' && isJwsAlgorithm(value.alg)) return value
  throw new TypeError(`${what} must be a signer`)
}

/**
 * Does something with the signer of a source.
 *
 * A rotating source may do it twice, with one signer and then with its successor, so the action also makes what names
 * the key.
 */
export function withSigner<T>(
  source: SignerSource,
  action: (signer: Signer) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  return isRotating(source) ? source.use(action, { signal }) : action(requireSigner(source))
}

/** The signer that a source uses now. */
export function currentSigner(source: SignerSource): Signer {
  if (!isRotating(source)) return requireSigner(source)
  if (source.current !== undefined) return source.current
  throw new TypeError(
    'the rotating signer has no key now; await its ready() before its public key is asked for',
  )
}

function isRotating(source: SignerSource): source is RotatingSigner {
  return typeof (source as Partial<RotatingSigner> | undefined)?.use === 'function'
}
