import { Deadline } from './abort.ts'
import { SignerError } from './error.ts'
import { requireSigner, type Signer } from './signer.ts'
import { thumbprint } from './thumbprint.ts'

/**
 * Loads a key: a factory such as `awsKmsSigner`, called with a name that all versions of the key share.
 *
 * The signal aborts when the load takes too long or is not wanted any more; it does not apply to later signatures.
 */
export type LoadSigner = (options: { readonly signal: AbortSignal }) => Promise<Signer>

/** A loaded signer that counts its uses, and is closed after the last one. */
export class LoadedSigner {
  readonly signer: Signer
  readonly identity: string
  #uses = 0
  #close: (() => void) | undefined

  constructor(signer: Signer) {
    this.signer = signer
    this.identity = identityOf(signer)
  }

  /** Runs an action with the signer, which stays open until the action has ended. */
  async use<T>(action: (signer: Signer) => T | PromiseLike<T>): Promise<T> {
    this.#uses++
    try {
      return await action(this.signer)
    } finally {
      this.#uses--
      if (this.#uses === 0) this.#close?.()
    }
  }

  /** Closes the signer after its last use; to be called once. */
  retire(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#close = () => void closeSigner(this.signer).then(resolve, reject)
      if (this.#uses === 0) this.#close()
    })
  }
}

/**
 * Loads a signer until the deadline passes or `end` aborts.
 *
 * A signer that arrives later is closed, unless it is one of `inUse`; so is one that cannot be used.
 */
export async function loadWithin(
  load: LoadSigner,
  seconds: number,
  end: AbortSignal,
  inUse: { has(signer: Signer): boolean },
): Promise<LoadedSigner> {
  const deadline = new Deadline(seconds, end, () => tooLate(seconds), { keepAlive: false })
  const { signal } = deadline
  const loading = (async () => load({ signal }))()
  loading.then(
    (signer) => {
      if (signal.aborted && !inUse.has(signer)) closeSigner(signer).catch(() => {})
    },
    () => {},
  )
  const signer = await deadline.settle(loading)
  try {
    return new LoadedSigner(requireSigner(signer, 'what "load" resolves with'))
  } catch (error) {
    closeSigner(signer).catch(() => {})
    throw error
  }
}

/** Identifies a signer by key, algorithm and key ID. */
export function identityOf(signer: Signer): string {
  const { alg, kid, publicJwk } = signer
  return JSON.stringify([thumbprint({ ...publicJwk }), alg, kid])
}

/** Closes a signer if it has a `close()`. */
async function closeSigner(signer: Signer | undefined): Promise<void> {
  const { close } = (signer ?? {}) as { readonly close?: unknown }
  if (typeof close === 'function') await close.call(signer)
}

function tooLate(seconds: number): SignerError {
  return new SignerError(
    'ERR_SIGNER_TIMEOUT',
    `The key was not loaded within ${seconds} s; raise "timeoutSeconds" if its service needs longer`,
  )
}
