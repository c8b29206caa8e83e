import { Deadline } from './abort.ts'
import { type JwsAlgorithm, requireJwsAlgorithm } from './algorithm.ts'
import {
  type CreateSignerOptions,
  createSigner,
  type SignerBackend,
  tooLate,
} from './create-signer.ts'
import { asSignerError, type KeyService, SignerError } from './error.ts'
import { ownOptions, requireSignal, requireTimeout } from './options.ts'
import type { Signer } from './signer.ts'

/** What a backend reads about a key before the key can sign. */
export type LoadedKey = Omit<SignerBackend, 'name' | 'describeError'>

/** Options of {@link loadSigner}. */
export interface LoadSignerOptions extends CreateSignerOptions {
  /** The algorithm that the caller asks for. Its name is checked before anything is read; `read` decides. */
  readonly alg?: JwsAlgorithm | undefined
  /** Stops loading; the promise then rejects with `signal.reason`. It does not apply to later signatures. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Loads a key from a key service, and makes a signer that has signed once.
 *
 * Reading the key and the trial signature share one deadline, and their failures get the same codes as those of a later
 * signature: a key that could never sign is refused at load. The trial is verified even with `verify: false`.
 *
 * @param service - name and error table of the service.
 * @param read - reads the key. Its signal aborts on the caller's abort and at the deadline. It passes to `onClose` how to
 *   release what it opened: a client, a session. That is called once, when the signer is closed or when loading fails.
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
  read: (signal: AbortSignal, onClose: (release: () => unknown) => void) => Promise<LoadedKey>,
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
  const opened: (() => unknown)[] = []
  let isFailed = false

  function onClose(release: () => unknown): void {
    opened.push(release)
    if (isFailed) releaseAll().catch(() => {})
  }

  /** Releases each resource once, the last one first, and rejects with the first error. */
  async function releaseAll(): Promise<void> {
    const errors: unknown[] = []
    for (let release = opened.pop(); release !== undefined; release = opened.pop()) {
      try {
        await release()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }

  async function readKey(): Promise<LoadedKey> {
    try {
      return await read(deadline.signal, onClose)
    } catch (error) {
      throw asSignerError(error, service, 'load the key')
    }
  }

  async function load(): Promise<ClosableSigner> {
    try {
      const key = await readKey()
      const backend = { ...key, ...service }
      const signer = createSigner(backend, settings)
      // Always verified: a public key that does not belong to the private one must not be used.
      const trial =
        settings.verify === false ? createSigner(backend, { ...settings, verify: true }) : signer
      await trial.sign(Buffer.from('countersign'), { signal: deadline.signal })
      return closable(signer, name, releaseAll)
    } catch (error) {
      // Why the key cannot be used is more useful than why it cannot be closed.
      await releaseAll().catch(() => {})
      throw error
    }
  }

  try {
    return await deadline.settle(load())
  } catch (error) {
    // `read` may ignore its signal and open something later.
    isFailed = true
    releaseAll().catch(() => {})
    throw error
  }
}

/** A signer whose resources are released by `close()` or by `await using`. */
export interface ClosableSigner extends Signer {
  /** Releases the signer's resources, such as a connection. The signer does not sign after that. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Adds `close()` to a signer.
 *
 * @param signer - signs until `close()` is called.
 * @param backend - name of the backend, for errors.
 * @param release - releases the signer's resources; called once.
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
    sign(signingInput, options) {
      if (closing === undefined) return signer.sign(signingInput, options)
      const message = 'This signer was closed; make a new one'
      return Promise.reject(new SignerError('ERR_SIGNER_CONFIG', message, { backend }))
    },
    close,
    [Symbol.asyncDispose]: close,
  })
}
