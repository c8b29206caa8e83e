import {
  type ClosableSigner,
  createSigner,
  type JwsAlgorithm,
  type PublicKeyInput,
  type Signer,
  SignerError,
  thumbprint,
} from '@countersign/core'
import { chooseAlgorithm } from '@countersign/core/backend'
import { checkOptions } from './check-options.ts'
import { closed } from './connection.ts'
import { backend, failure } from './failure.ts'
import type { KeyDescription, KeyOnToken } from './find-key.ts'
import { possibleAlgorithms, signingMethod } from './mechanism.ts'
import type { Pin } from './pin-holder.ts'
import { algorithmsOf, publicKeyOnToken } from './public-key.ts'
import type { TokenSelector } from './selector.ts'
import { shareConnection } from './shared-connections.ts'

/** Options of {@link pkcs11Signer}. */
export interface Pkcs11SignerOptions {
  /** Path of the vendor's PKCS#11 module, such as `/usr/lib/softhsm/libsofthsm2.so`. */
  readonly module: string
  /** Which token: by label, serial number or slot number; of this manufacturer and model, if they are given. */
  readonly token: TokenSelector
  /** Which private key on it: by label, or by ID, as octets or in hexadecimal. */
  readonly key: {
    readonly label?: string | undefined
    readonly id?: string | Uint8Array | undefined
  }
  /** The user PIN, or a function that is asked for it whenever a login is needed. */
  readonly pin?: Pin | undefined
  /** The algorithm; by default the key's only one, RS256 for RSA and EdDSA for Ed25519. */
  readonly alg?: JwsAlgorithm | undefined
  /** Key ID; by default the RFC 7638 thumbprint. */
  readonly kid?: string | undefined
  /** Most sessions to sign in at once; 4 by default. */
  readonly sessions?: number | undefined
  /**
   * The public key, where the token has neither a public object nor a certificate for it; where it has, it must be this
   * one.
   */
  readonly publicKey?: PublicKeyInput | undefined
  /** What the module wants at initialisation, for those that do; NSS is one. */
  readonly libraryParameters?: string | undefined
  /** Whether the module runs in a process of its own, which can hang or crash without harm; `true` by default. */
  readonly isolate?: boolean | undefined
  /**
   * Environment variables that the module needs in its own process, beyond the usual ones: names, in which `*` at the
   * end stands for the rest, as in `AWS_*`; by default the names in `COUNTERSIGN_PKCS11_ENV`, separated by commas.
   */
  readonly env?: readonly string[] | undefined
  /**
   * Bound on one signature; 10 by default. The longest one among the signers on a token bounds each step of opening it,
   * too.
   */
  readonly timeoutSeconds?: number | undefined
  /** Whether each signature is verified before it is handed out; `true` by default, and always with a `publicKey` that the token does not have. */
  readonly verify?: boolean | undefined
  /** Whether to log in although the token says that one more wrong PIN locks it; `false` by default. */
  readonly allowFinalPinTry?: boolean | undefined
}

/** A signer over a token, which is let go by `close()` or by `await using`. */
export interface Pkcs11Signer extends ClosableSigner {
  /** Gives the token back; the last signer that shares it ends its process and its login. */
  close(): Promise<void>
}

/**
 * Makes a signer over a key on a PKCS#11 token: an HSM, a smart card, a TPM.
 *
 * The vendor's module runs in a child process of its own, one for each module and token, so that a hang, a crash or a
 * lost token ends in an error here and in nothing worse; signers on one token share it, its login and its sessions. A
 * token that went away is found again. A PIN that the token refused is never tried a second time, and a signer whose
 * PIN was refused logs in no more.
 *
 * @param options - module, token, key and PIN.
 * @returns a frozen signer. An open one keeps no process alive.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when module, token or options do not fit, with what there is;
 *   `ERR_SIGNER_KEY_NOT_FOUND` with the keys there are; `ERR_SIGNER_KEY_UNSUPPORTED` when key or token cannot make the
 *   signature; `ERR_SIGNER_ACCESS_DENIED` when the PIN is wrong, locked, or not to be tried;
 *   `ERR_SIGNER_UNAVAILABLE` and `ERR_SIGNER_TIMEOUT` when the token does not answer; `ERR_SIGNER_INTEGRITY` when the
 *   public key is not that of the private key.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { pkcs11Signer } from '@countersign/pkcs11'
 *
 * const signer = await pkcs11Signer({
 *   module: '/usr/lib/softhsm/libsofthsm2.so',
 *   token: { label: 'agents' },
 *   key: { label: 'billing-agent' },
 *   pin: async () => (await readFile('/run/secrets/pin', 'utf8')).trim(),
 * })
 * console.log(signer.alg, signer.kid)
 * await signer.close()
 * ```
 *
 * @see [PKCS #11 Specification Version 3.1](https://docs.oasis-open.org/pkcs11/pkcs11-spec/v3.1/pkcs11-spec-v3.1.html)
 */
export async function pkcs11Signer(options: Pkcs11SignerOptions): Promise<Pkcs11Signer> {
  const { selector, timeoutSeconds, ...settings } = checkOptions(options)
  const { connection, release } = await shareConnection(settings, timeoutSeconds)
  let isOpen = true
  const close = () => {
    isOpen = false
    return release()
  }
  try {
    const key = await connection.describeKey(selector)
    const alg = chooseAlgorithm(options.alg, byMechanism(key), backend)
    const method = signingMethod(alg, key.mechanisms)
    if (method === undefined) throw impossible(alg, key.mechanisms)
    const bound = { selector, identity: key.identity }
    const own = publicKeyOnToken(key)
    const make = (publicKey: PublicKeyInput, verify: boolean | undefined) =>
      createSigner(
        {
          name: backend,
          alg,
          publicKey,
          sign(request) {
            if (!isOpen) throw closed()
            return connection.sign(bound, method.mechanism, method.input(request), request)
          },
        },
        { kid: options.kid, timeoutSeconds, verify },
      )
    const publicKey = requirePublicKey(own ?? options.publicKey, key)
    const trial = make(publicKey, true)
    if (options.publicKey !== undefined) requireSameKey(make(options.publicKey, true), trial)
    await trial.sign(Buffer.from('countersign')).catch((error) => {
      throw own === undefined && isIntegrity(error) ? notThisKey() : error
    })
    // Without a public half on the token, nothing else would tell that the key was replaced.
    const signer = make(publicKey, own === undefined || options.verify)
    return Object.freeze({ ...signer, close, [Symbol.asyncDispose]: close })
  } catch (error) {
    await close()
    throw error
  }
}

/** What a key can be used with; first what its token has a mechanism for. */
function byMechanism(key: KeyDescription): JwsAlgorithm[] {
  const has = (alg: JwsAlgorithm) => Number(signingMethod(alg, key.mechanisms) !== undefined)
  return [...algorithmsOf(key)].sort((one, other) => has(other) - has(one))
}

function impossible(alg: JwsAlgorithm, mechanisms: readonly number[]): SignerError {
  const possible = possibleAlgorithms(mechanisms)
  return failure(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `The token has no mechanism for ${alg}; it can make ${possible.length === 0 ? 'no JWS signature at all' : possible.join(', ')}`,
  )
}

function requirePublicKey(found: PublicKeyInput | undefined, key: KeyOnToken): PublicKeyInput {
  if (found !== undefined) return found
  throw failure(
    'ERR_SIGNER_CONFIG',
    `The token has no public key and no certificate for the key ${JSON.stringify(key.label)} (id ${key.id || 'none'}); give its "publicKey"`,
  )
}

function requireSameKey(given: Signer, found: Signer): void {
  if (thumbprint({ ...given.publicJwk }) !== thumbprint({ ...found.publicJwk })) throw notThisKey()
}

function isIntegrity(error: unknown): boolean {
  return SignerError.is(error) && error.code === 'ERR_SIGNER_INTEGRITY'
}

function notThisKey(): SignerError {
  return failure(
    'ERR_SIGNER_INTEGRITY',
    'The "publicKey" that was given is not that of the private key on the token; check "key" and "publicKey"',
  )
}
