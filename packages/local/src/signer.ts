import { createPublicKey, type KeyObject, sign, type webcrypto } from 'node:crypto'
import { types } from 'node:util'
import {
  algorithms,
  type ClosableSigner,
  type Jwk,
  type SignerBackend,
  SignerError,
  type SignRequest,
} from '@countersign/core'
import { type LoadSignerOptions, loadSigner, ownOptions } from '@countersign/core/backend'
import { algorithmOfCryptoKey, publicKeyOfCryptoKey, signWithCryptoKey } from './crypto-key.ts'
import { defaultAlgorithm, statedAlgorithm } from './default-algorithm.ts'
import { type PrivateKey, readPrivateKey } from './read-private-key.ts'
import { mismatch } from './refusals.ts'

/**
 * Options of {@link localSigner}.
 *
 * The default of `alg` is the JWK's "alg", else the only one of the key, else RS256 for RSA and EdDSA for Ed25519. The
 * default of `kid` is the JWK's "kid", else the RFC 7638 thumbprint. The default of `verify` is `false`.
 */
export interface LocalSignerOptions extends LoadSignerOptions {
  /**
   * The private key: PEM or DER (PKCS#8, encrypted PKCS#8, SEC1, PKCS#1), a private JWK, a `KeyObject`,
   * or a `CryptoKey`, which need not be extractable.
   */
  readonly key: PrivateKey | webcrypto.CryptoKey
  /** The passphrase of an encrypted key. */
  readonly passphrase?: string | Uint8Array | undefined
}

/**
 * Makes a signer over a private key in this process's memory.
 *
 * ECDSA, EdDSA and ML-DSA sign on the calling thread, RSA and `CryptoKey` on the thread pool. The key signs once
 * before the signer is returned; later signatures are not verified, unless `verify` is set.
 *
 * @param options - the key, its passphrase, and settings that the key does not contain.
 * @returns a frozen signer that holds the key and shows only its public half.
 * @throws {@link SignerError} `ERR_SIGNER_KEY_UNSUPPORTED` when the key is public, symmetric, damaged, too
 *   small or of an unknown curve; `ERR_SIGNER_ACCESS_DENIED` when the passphrase is missing or wrong;
 *   `ERR_SIGNER_CONFIG` when the algorithm does not fit the key; `ERR_SIGNER_INTEGRITY` when the private half is
 *   damaged or does not belong to the public one.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { localSigner } from '@countersign/local'
 *
 * const signer = await localSigner({ key: await readFile('key.pem', 'utf8') })
 * console.log(signer.alg, signer.kid)
 * ```
 *
 * @see [RFC 7515 §5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)
 */
export async function localSigner(options: LocalSignerOptions): Promise<ClosableSigner> {
  const { key, passphrase, kid, verify = false, ...rest } = ownOptions(options)
  const backend = types.isCryptoKey(key)
    ? await cryptoKeyBackend(key, options)
    : keyObjectBackend(readPrivateKey(key, passphrase), options)
  const settings = { ...rest, alg: backend.alg, kid: kid ?? jwkMember(key, 'kid'), verify }
  try {
    return await loadSigner({ name: backend.name }, async () => backend, settings)
  } catch (error) {
    if (!SignerError.is(error) || !ofTheTrial.has(error.code)) throw error
    throw mismatch(error.cause)
  }
}

/** Codes of the trial signature when the halves of a key do not belong together. */
const ofTheTrial: ReadonlySet<string> = new Set(['ERR_SIGNER_INTEGRITY', 'ERR_SIGNER_BACKEND'])

function keyObjectBackend(key: KeyObject, options: LocalSignerOptions): SignerBackend {
  const alg = statedAlgorithm(options.alg, jwkMember(options.key, 'alg')) ?? defaultAlgorithm(key)
  const { kty, padding, saltLength } = algorithms[alg]
  const input = {
    key,
    ...(kty === 'EC' ? { dsaEncoding: 'ieee-p1363' as const } : {}),
    ...(padding === undefined ? {} : { padding }),
    ...(saltLength === undefined ? {} : { saltLength }),
  }
  const signNow = ({ message, hash }: SignRequest) => sign(hash ?? null, message, input)
  const signOnPool = ({ message, hash }: SignRequest) =>
    new Promise<Uint8Array>((resolve, reject) => {
      sign(hash ?? null, message, input, (error, signature) =>
        error === null ? resolve(signature) : reject(error),
      )
    })
  return {
    name: 'local',
    alg,
    publicKey: createPublicKey(key),
    sign: kty === 'RSA' ? signOnPool : signNow,
  }
}

async function cryptoKeyBackend(
  key: webcrypto.CryptoKey,
  options: LocalSignerOptions,
): Promise<SignerBackend> {
  const stated = algorithmOfCryptoKey(key)
  const alg =
    stated === 'EdDSA' && options.alg === 'Ed25519'
      ? 'Ed25519'
      : statedAlgorithm(options.alg, stated)
  return {
    name: 'local',
    alg: alg ?? stated,
    publicKey: await publicKeyOfCryptoKey(key),
    sign: signWithCryptoKey(key),
  }
}

function jwkMember(key: LocalSignerOptions['key'], member: 'alg' | 'kid'): string | undefined {
  const jwk = key as Jwk
  // A KeyObject and a CryptoKey have neither "kty" nor these members.
  return typeof key === 'object' && typeof jwk.kty === 'string' ? jwk[member] : undefined
}
