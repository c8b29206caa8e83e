import { isJwsAlgorithm } from './algorithm.ts'
import type { RotatingSigner } from './rotating-signer.ts'
import type { Signer, SignerSource } from './signer.ts'

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
