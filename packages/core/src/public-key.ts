import { createPublicKey, type JsonWebKeyInput, KeyObject } from 'node:crypto'
import { type AlgorithmParameters, algorithms, type JwsAlgorithm } from './algorithm.ts'
import { SignerError } from './error.ts'

/**
 * The public half of a signer's key as a JWK, with nothing private in it.
 *
 * @see [RFC 7517 §4](https://www.rfc-editor.org/rfc/rfc7517#section-4)
 */
export interface PublicJwk {
  readonly kty: AlgorithmParameters['kty']
  readonly kid: string
  readonly alg: JwsAlgorithm
  readonly use: 'sig'
  /** EC and OKP */
  readonly crv?: string
  /** EC and OKP, base64url */
  readonly x?: string
  /** EC, base64url */
  readonly y?: string
  /** RSA modulus, base64url */
  readonly n?: string
  /** RSA exponent, base64url */
  readonly e?: string
  /** ML-DSA public key, base64url */
  readonly pub?: string
}

/**
 * A JSON Web Key of any kind, public or private; `kty` tells which of the members it has.
 *
 * @see [RFC 7518 §6](https://www.rfc-editor.org/rfc/rfc7518#section-6)
 */
export interface Jwk {
  readonly kty?: string | undefined
  readonly kid?: string | undefined
  readonly alg?: string | undefined
  readonly use?: string | undefined
  readonly key_ops?: readonly string[] | undefined
  readonly crv?: string | undefined
  readonly x?: string | undefined
  readonly y?: string | undefined
  readonly n?: string | undefined
  readonly e?: string | undefined
  readonly d?: string | undefined
  readonly p?: string | undefined
  readonly q?: string | undefined
  readonly dp?: string | undefined
  readonly dq?: string | undefined
  readonly qi?: string | undefined
  readonly pub?: string | undefined
  readonly priv?: string | undefined
  readonly k?: string | undefined
}

/** A public key: `KeyObject`, JWK, SPKI in PEM, or SPKI in DER. */
export type PublicKeyInput = KeyObject | Jwk | string | Uint8Array

const members: { readonly [kty in PublicJwk['kty']]: readonly (keyof Jwk)[] } = {
  EC: ['crv', 'x', 'y'],
  RSA: ['n', 'e'],
  OKP: ['crv', 'x'],
  AKP: ['pub'],
}

const smallestModulus = 2048

/** Reads a public key in any of the forms of {@link PublicKeyInput}. */
export function readPublicKey(input: PublicKeyInput, backend: string): KeyObject {
  if (input instanceof KeyObject) {
    if (input.type === 'public') return input
    throw new TypeError(`"publicKey" must be a public key, not a ${input.type} one`)
  }
  if (!isPublicKeyInput(input))
    throw new TypeError('"publicKey" must be a KeyObject, a JWK, or SPKI as PEM or DER')
  if (isPrivate(input)) throw new TypeError('"publicKey" must not be a private key')
  try {
    if (typeof input === 'string') return createPublicKey(input)
    if (input instanceof Uint8Array) {
      return createPublicKey({ key: Buffer.from(input), format: 'der', type: 'spki' })
    }
    return createPublicKey({ key: input as JsonWebKeyInput['key'], format: 'jwk' })
  } catch (cause) {
    throw new SignerError(
      'ERR_SIGNER_KEY_UNSUPPORTED',
      `The public key cannot be read by Node.js ${process.versions.node}; expected an RSA, EC (P-256, P-384, P-521, secp256k1) or Ed25519 key, or ML-DSA on Node.js 24.7 and later`,
      { backend, cause },
    )
  }
}

function isPublicKeyInput(input: unknown): input is string | Uint8Array | Jwk {
  return typeof input === 'string' || (typeof input === 'object' && input !== null)
}

function isPrivate(input: string | Uint8Array | Jwk): boolean {
  if (typeof input === 'string') return input.includes('PRIVATE KEY')
  return !(input instanceof Uint8Array) && hasPrivateMember({ ...input })
}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** Tells whether a JWK has a member of a private or symmetric key, RFC 7518 §6. */
export function hasPrivateMember(jwk: { readonly [member: string]: unknown }): boolean {
  return privateMembers.some((member) => jwk[member] !== undefined)
}

/**
 * Checks that a public key is one that `alg` signs with, and returns it as a canonical JWK.
 *
 * A `KeyObject` writes every number without extra and without missing zero octets. Some key services do not, which
 * would change the thumbprint.
 */
export function describePublicKey(
  key: KeyObject,
  alg: JwsAlgorithm,
  backend: string,
): { [member: string]: string } {
  const { kty, crv } = algorithms[alg]
  const jwk = exportJwk(key, backend)
  const found = jwk.crv ?? (jwk.kty === 'AKP' ? jwk.alg : jwk.kty)
  const expected = crv ?? (kty === 'AKP' ? alg : kty)
  if (jwk.kty !== kty || found !== expected) {
    throw new SignerError(
      'ERR_SIGNER_CONFIG',
      `The algorithm ${alg} needs a key of ${expected}, but this key is of ${String(found)}`,
      { backend },
    )
  }
  if (kty === 'RSA') checkModulus(key, backend)
  const described: { [member: string]: string } = { kty }
  for (const member of members[kty]) described[member] = String(jwk[member])
  return described
}

function exportJwk(key: KeyObject, backend: string): Jwk {
  try {
    return key.export({ format: 'jwk' })
  } catch (cause) {
    const advice =
      key.asymmetricKeyType === 'rsa-pss'
        ? 'it has no JWK form; store the same key as an ordinary RSA key and choose PS256, PS384 or PS512'
        : `use RSA, EC (P-256, P-384, P-521, secp256k1) or Ed25519, or ML-DSA on Node.js 24.7 and later (this is ${process.versions.node})`
    throw new SignerError(
      'ERR_SIGNER_KEY_UNSUPPORTED',
      `A key of type ${[key.asymmetricKeyType, key.asymmetricKeyDetails?.namedCurve].filter(Boolean).join(' ')} is not supported: ${advice}`,
      { backend, cause },
    )
  }
}

function checkModulus(key: KeyObject, backend: string): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (bits >= smallestModulus) return
  throw new SignerError(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `This RSA key has ${bits} bits; RFC 7518 wants ${smallestModulus} or more`,
    { backend },
  )
}
