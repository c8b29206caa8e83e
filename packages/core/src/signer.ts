import type { JwsAlgorithm } from './algorithm.ts'
import type { PublicJwk } from './public-key.ts'
import type { RotatingSigner } from './rotating-signer.ts'

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

/** What every function that needs a signature takes: a key, or one that is replaced while it is used. */
export type SignerSource = Signer | RotatingSigner
