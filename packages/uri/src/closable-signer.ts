import type { Signer } from '@countersign/core'

/** A signer that is let go by `close()` or by `await using`, whatever is behind it. */
export interface ClosableSigner extends Signer {
  /** Gives back what the signer holds: a token's process and login. Keys elsewhere hold nothing, and go on signing. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A signer that holds nothing, as one that can be closed like any other. */
export function closable(signer: Signer): ClosableSigner {
  const close = async () => {}
  return Object.freeze({ ...signer, close, [Symbol.asyncDispose]: close })
}
