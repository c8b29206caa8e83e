import { type JwsAlgorithm, type Signer, SignerError } from '@countersign/core'
import type { CheckName, CheckSignerOptions } from '@countersign/testkit'
import { frozen, handWritten, type KeyPair, keyPair, type Parts } from '../hand-written.ts'

/** A factory of a signer with one fault, and the one check that must find it. */
export interface Fault {
  readonly check: CheckName
  /** Completes the sentence "a signer that". */
  readonly that: string
  readonly factory: () => unknown
  readonly options?: CheckSignerOptions
}

export const ec: KeyPair = keyPair('ES256')
export const rsa: KeyPair = keyPair('RS256')
export const ed: KeyPair = keyPair('EdDSA')
export const soon: CheckSignerOptions = { timeoutSeconds: 0.1 }
export const forever: Promise<never> = new Promise(() => {})

const pairs: { readonly [alg in JwsAlgorithm]?: KeyPair } = {
  ES256: ec,
  RS256: rsa,
  PS256: rsa,
  EdDSA: ed,
}

/** A signer with some members changed. */
export function but(alg: JwsAlgorithm, change: (good: Parts) => object): () => Signer {
  const pair = pairs[alg] ?? keyPair(alg)
  return () => {
    const good = handWritten(alg, pair)
    return frozen({ ...good, ...change(good) })
  }
}

type SignFault = (good: Parts['sign'], ...call: Parameters<Parts['sign']>) => unknown

/** A signer whose `sign` handles valid calls wrongly. */
export function signing(alg: JwsAlgorithm, fault: () => SignFault): () => Signer {
  return but(alg, ({ sign: good }) => {
    const faulty = fault()
    return {
      async sign(...call: Parameters<Parts['sign']>) {
        if (!(call[0] instanceof Uint8Array)) return good(...call)
        call[1]?.signal?.throwIfAborted()
        return faulty(good, ...call)
      },
    }
  })
}

/** Like {@link but}, for a fault in the public JWK only. */
export function jwk(alg: JwsAlgorithm, change: (good: Parts['publicJwk']) => object): () => Signer {
  return but(alg, ({ publicJwk }) => ({ publicJwk: { ...publicJwk, ...change(publicJwk) } }))
}

export function unsupported(): SignerError {
  return new SignerError('ERR_SIGNER_KEY_UNSUPPORTED', 'too long')
}
