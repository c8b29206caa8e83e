import { constants } from 'node:crypto'
import { SignerError } from './error.ts'

/** What sets one JWS algorithm apart from another, in the terms of `node:crypto`. */
export interface AlgorithmParameters {
  /** JWK key type, RFC 7517 §4.1. */
  readonly kty: 'EC' | 'RSA' | 'OKP' | 'AKP'
  /** JWK curve, RFC 7518 §6.2.1.1 and RFC 8037 §2; EC and OKP only. */
  readonly crv?: 'P-256' | 'P-384' | 'P-521' | 'secp256k1' | 'Ed25519'
  /** Hash of the signing input; absent where the algorithm takes the message itself. */
  readonly hash?: 'sha256' | 'sha384' | 'sha512'
  /** RSA padding, a constant of `node:crypto`. */
  readonly padding?: number
  /** Length of the PSS salt in octets, RFC 7518 §3.5. */
  readonly saltLength?: number
  /** Length of the signature in octets; absent for RSA, where it is that of the modulus. */
  readonly signatureLength?: number
}

const pkcs1 = constants.RSA_PKCS1_PADDING
const pss = constants.RSA_PKCS1_PSS_PADDING

/**
 * A digital signature algorithm of JOSE that a signer can have: RFC 7518 §3.1, RFC 8812 (ES256K),
 * RFC 8037 (EdDSA, here with Ed25519 only), RFC 9864 (Ed25519), and ML-DSA.
 *
 * `none` and the HMAC algorithms are not digital signatures and do not exist here.
 */
export type JwsAlgorithm =
  | EcdsaAlgorithm
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'EdDSA'
  | 'Ed25519'
  | 'ML-DSA-44'
  | 'ML-DSA-65'
  | 'ML-DSA-87'

/** An ECDSA algorithm, whose signatures are r ‖ s in a JWS and DER in most key services. */
export type EcdsaAlgorithm = 'ES256' | 'ES384' | 'ES512' | 'ES256K'

/**
 * The parameters of every {@link JwsAlgorithm}, by name.
 *
 * @see [RFC 7518 §3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1)
 */
export const algorithms: { readonly [alg in JwsAlgorithm]: AlgorithmParameters } = {
  ES256: { kty: 'EC', crv: 'P-256', hash: 'sha256', signatureLength: 64 },
  ES384: { kty: 'EC', crv: 'P-384', hash: 'sha384', signatureLength: 96 },
  ES512: { kty: 'EC', crv: 'P-521', hash: 'sha512', signatureLength: 132 },
  ES256K: { kty: 'EC', crv: 'secp256k1', hash: 'sha256', signatureLength: 64 },
  RS256: { kty: 'RSA', hash: 'sha256', padding: pkcs1 },
  RS384: { kty: 'RSA', hash: 'sha384', padding: pkcs1 },
  RS512: { kty: 'RSA', hash: 'sha512', padding: pkcs1 },
  PS256: { kty: 'RSA', hash: 'sha256', padding: pss, saltLength: 32 },
  PS384: { kty: 'RSA', hash: 'sha384', padding: pss, saltLength: 48 },
  PS512: { kty: 'RSA', hash: 'sha512', padding: pss, saltLength: 64 },
  EdDSA: { kty: 'OKP', crv: 'Ed25519', signatureLength: 64 },
  Ed25519: { kty: 'OKP', crv: 'Ed25519', signatureLength: 64 },
  'ML-DSA-44': { kty: 'AKP', signatureLength: 2420 },
  'ML-DSA-65': { kty: 'AKP', signatureLength: 3309 },
  'ML-DSA-87': { kty: 'AKP', signatureLength: 4627 },
}

/** Tells whether a value is the name of a {@link JwsAlgorithm}. */
export function isJwsAlgorithm(value: unknown): value is JwsAlgorithm {
  return typeof value === 'string' && Object.hasOwn(algorithms, value)
}

/** Returns the name if it is a {@link JwsAlgorithm}, and else refuses it with what would be accepted. */
export function requireJwsAlgorithm(value: unknown, backend: string): JwsAlgorithm {
  if (typeof value !== 'string') throw new TypeError('"alg" must be a string')
  if (isJwsAlgorithm(value)) return value
  throw new SignerError(
    'ERR_SIGNER_CONFIG',
    `The algorithm ${/^[\w+-]{1,24}$/.test(value) ? `"${value}"` : 'given'} is not one a signer can have; use one of ${Object.keys(algorithms).join(', ')}`,
    { backend },
  )
}

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
