import type { Signer, SignOptions } from './signer.ts'

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
