import { type JwsAlgorithm, requireJwsAlgorithm } from './algorithm.ts'
import { SignerError } from './error.ts'

/**
 * Decides on the algorithm of a key: the one that the caller asks for, else the first that the key has.
 *
 * @param asked - the caller's choice.
 * @param possible - what the key can be used for, the default first.
 * @param backend - name of the backend, for errors.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when the key cannot be used as asked, with what it can be used for;
 *   `ERR_SIGNER_KEY_UNSUPPORTED` when it can be used for nothing.
 * @throws `TypeError` when `asked` is not a string.
 *
 * @example
 * ```ts
 * import { chooseAlgorithm } from '@countersign/core/backend'
 *
 * console.log(chooseAlgorithm(undefined, ['RS256', 'PS256'], 'my-vault')) // RS256
 * ```
 *
 * @see [RFC 7518 §3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1)
 */
export function chooseAlgorithm(
  asked: JwsAlgorithm | undefined,
  possible: readonly JwsAlgorithm[],
  backend: string,
): JwsAlgorithm {
  const [first] = possible
  if (first === undefined) {
    throw new SignerError('ERR_SIGNER_KEY_UNSUPPORTED', 'This key makes no JWS signature', {
      backend,
    })
  }
  if (asked === undefined) return first
  const alg = requireJwsAlgorithm(asked, backend)
  if (possible.includes(alg)) return alg
  throw new SignerError(
    'ERR_SIGNER_CONFIG',
    `The algorithm ${alg} does not fit this key; use ${possible.length === 1 ? '' : 'one of '}${possible.join(', ')}`,
    { backend },
  )
}
