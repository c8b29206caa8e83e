import { Deadline } from './abort.ts'
import { type JwsAlgorithm, requireJwsAlgorithm } from './algorithm.ts'
import { type ClosableSigner, closable } from './closable-signer.ts'
import { type CreateSignerOptions, createSigner, type SignerBackend } from './create-signer.ts'
import { ownOptions, requireSignal, requireTimeout } from './options.ts'
import { tooLate } from './sign-request.ts'
import { asSignerError } from './signer-failure.ts'

/** A key service: its name, and how its errors read. */
export type KeyService = Pick<SignerBackend, 'name' | 'describeError'>

/** What is read of a key before it can sign. */
export interface LoadedKey extends Omit<SignerBackend, 'name' | 'describeError'> {
  /** Gives back what was opened for this key alone, when the signer is closed or cannot be made. */
  close?(): unknown
}

/** Options of {@link loadSigner}. */
export interface LoadSignerOptions extends CreateSignerOptions {
  /** The algorithm that the caller asks for, looked at before anything is read; `read` decides. */
  readonly alg?: JwsAlgorithm | undefined
  /** Gives up loading; the promise then rejects with `signal.reason` as it is. It does not bind later signatures. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Loads a key from a key service, and makes a signer that has signed once.
 *
 * Reading and the trial signature have the deadline of one signature together, and their failures are named as those of
 * a signature are: what would refuse every signature refuses the load. The trial is verified, whatever `verify` says.
 *
 * @param service - name and error table of the service.
 * @param read - reads the key; gives up when its signal aborts.
 * @param options - the caller's: algorithm, key ID, deadline in seconds, verification, and a signal for the load.
 * @returns a frozen signer, with `close()`.
 * @throws {@link SignerError} as `createSigner` and its signers do; `signal.reason` when aborted.
 * @throws `TypeError` when an argument is not of its type.
 *
 * @example
 * ```ts
 * import { loadSigner } from '@countersign/core/backend'
 *
 * const url = 'https://vault.example/keys/agent'
 * const signer = await loadSigner({ name: 'my-vault' }, async (signal) => {
 *   const key = await fetch(url, { signal })
 *   return {
 *     alg: 'ES256',
 *     publicKey: await key.text(),
 *     async sign({ digest, signal }) {
 *       const answer = await fetch(url, { method: 'POST', body: digest ?? null, signal })
 *       return new Uint8Array(await answer.arrayBuffer())
 *     },
 *   }
 * })
 * ```
 *
 * @see [RFC 7515 §5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)
 */
export async function loadSigner(
  service: KeyService,
  read: (signal: AbortSignal) => Promise<LoadedKey>,
  options: LoadSignerOptions = {},
): Promise<ClosableSigner> {
  const { signal, alg, ...rest } = ownOptions(options)
  const settings = ownOptions(rest)
  const { timeoutSeconds: seconds = 10 } = settings
  const { name } = service
  requireSignal(signal)
  signal?.throwIfAborted()
  requireTimeout(seconds)
  if (alg !== undefined) requireJwsAlgorithm(alg, name)
  const deadline = new Deadline(seconds, signal, () => tooLate(name, 'load the key', seconds))

  async function load(): Promise<ClosableSigner> {
    let key: LoadedKey
    try {
      key = await read(deadline.signal)
    } catch (error) {
      throw asSignerError(error, service, 'load the key')
    }
    try {
      const backend = { ...key, ...service }
      const signer = createSigner(backend, settings)
      // Verified in any case: a public key that is not that of the private one must not get anywhere.
      const trial =
        settings.verify === false ? createSigner(backend, { ...settings, verify: true }) : signer
      await trial.sign(Buffer.from('countersign'), { signal: deadline.signal })
      return closable(signer, name, () => key.close?.())
    } catch (error) {
      // Why it cannot be used says more than why it cannot be closed.
      await (async () => key.close?.())().catch(() => {})
      throw error
    }
  }

  return deadline.settle(load())
}
