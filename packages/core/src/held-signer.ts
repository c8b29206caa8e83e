import type { Signer } from './signer.ts'
import { requireSigner } from './signer-source.ts'
import { thumbprint } from './thumbprint.ts'

/** A signer together with what is under way with it, after which it can be closed. */
export class HeldSigner {
  readonly signer: Signer
  readonly identity: string
  #underWay = 0
  #close: (() => void) | undefined

  constructor(signer: Signer) {
    this.signer = signer
    this.identity = identityOf(signer)
  }

  /** Does something with the signer, which stays open for as long as that takes. */
  async use<T>(action: (signer: Signer) => T | PromiseLike<T>): Promise<T> {
    this.#underWay++
    try {
      return await action(this.signer)
    } finally {
      this.#underWay--
      if (this.#underWay === 0) this.#close?.()
    }
  }

  /** Closes the signer after what is under way with it; to be called once. */
  retire(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#close = () => void closeSigner(this.signer).then(resolve, reject)
      if (this.#underWay === 0) this.#close()
    })
  }
}

/** Identifies a signer by key, algorithm and key ID. */
export function identityOf(signer: Signer): string {
  const { alg, kid, publicJwk } = signer
  return JSON.stringify([thumbprint({ ...publicJwk }), alg, kid])
}

/** Makes sure that it is a signer that was loaded, and holds it; closes it if it cannot be used. */
export function holdLoaded(signer: Signer): HeldSigner {
  try {
    return new HeldSigner(requireSigner(signer, 'what "load" resolves with'))
  } catch (error) {
    closeSigner(signer).catch(() => {})
    throw error
  }
}

/** Closes a signer, if it is one that can be closed. */
export async function closeSigner(signer: Signer | undefined): Promise<void> {
  const { close } = (signer ?? {}) as { readonly close?: unknown }
  if (typeof close === 'function') await close.call(signer)
}
