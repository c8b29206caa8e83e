import { SignerError } from './error.ts'
import type { Signer } from './signer.ts'

/** A signer that is let go by `close()` or by `await using`, whatever is behind it. */
export interface ClosableSigner extends Signer {
  /** Gives back what the signer holds, such as a connection. It does not sign after that. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Makes a signer one that can be closed.
 *
 * @param signer - what signs until then.
 * @param backend - name of the backend, for errors.
 * @param release - gives back what the signer holds; called once.
 * @returns a frozen signer, whose `sign` rejects with {@link SignerError} `ERR_SIGNER_CONFIG` once it is closed.
 *
 * @example
 * ```ts
 * import type { Signer } from '@countersign/core'
 * import { closable } from '@countersign/core/backend'
 *
 * declare const signer: Signer
 * declare const connection: { end(): Promise<void> }
 *
 * await using own = closable(signer, 'my-vault', () => connection.end())
 * console.log(own.kid)
 * ```
 *
 * @see [Explicit resource management](https://github.com/tc39/proposal-explicit-resource-management)
 */
export function closable(
  signer: Signer,
  backend: string,
  release: () => unknown = () => {},
): ClosableSigner {
  let closing: Promise<void> | undefined
  function close(): Promise<void> {
    closing ??= (async () => void (await release()))()
    return closing
  }
  return Object.freeze<ClosableSigner>({
    ...signer,
    async sign(signingInput, options) {
      if (closing === undefined) return signer.sign(signingInput, options)
      throw new SignerError('ERR_SIGNER_CONFIG', 'This signer was closed; make a new one', {
        backend,
      })
    },
    close,
    [Symbol.asyncDispose]: close,
  })
}
