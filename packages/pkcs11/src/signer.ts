import {
  createSigner,
  type JwsAlgorithm,
  type PublicKeyInput,
  type Signer,
  type SignerError,
} from '@countersign/core'
import type { Pin } from './connection.ts'
import { failure } from './failure.ts'
import { possibleAlgorithms, signingMethod } from './mechanism.ts'
import { algorithmsOf, publicKeyOf } from './public-key.ts'
import type { KeySelector, TokenSelector } from './selector.ts'
import { shareConnection } from './shared-connections.ts'

/** Options of {@link pkcs11Signer}. */
export interface Pkcs11SignerOptions {
  /** Path of the vendor's PKCS#11 module, such as `/usr/lib/softhsm/libsofthsm2.so`. */
  readonly module: string
  /** Which token: by label, serial number or slot number. */
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
  /** The public key, where the token has neither a public object nor a certificate for it. */
  readonly publicKey?: PublicKeyInput | undefined
  /** What the module wants at initialisation, for those that do; NSS is one. */
  readonly libraryParameters?: string | undefined
  /** Whether the module runs in a process of its own, which can hang or crash without harm; `true` by default. */
  readonly isolate?: boolean | undefined
  /** Bound on one signature, and on each step of opening the token; 10 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Whether each signature is verified before it is handed out; `true` by default. */
  readonly verify?: boolean | undefined
  /** Whether to log in although the token says that one more wrong PIN locks it; `false` by default. */
  readonly allowFinalPinTry?: boolean | undefined
}

/** A signer over a token, which is let go by `close()` or by `await using`. */
export interface Pkcs11Signer extends Signer {
  /** Gives the token back; the last signer that shares it ends its process and its login. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Makes a signer over a key on a PKCS#11 token: an HSM, a smart card, a TPM.
 *
 * The vendor's module runs in a child process of its own, one for each module and token, so that a hang, a crash or a
 * lost token ends in an error here and in nothing worse; signers on one token share it, its login and its sessions. A
 * token that went away is found again by itself. A PIN that the token refused is never tried a second time.
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
  const { module, token, pin, libraryParameters, sessions = 4, timeoutSeconds = 10 } = options
  requireString(module, 'module')
  requireToken(token)
  const selector = keySelector(options.key)
  if (pin !== undefined && typeof pin !== 'string' && typeof pin !== 'function') {
    throw new TypeError('"pin" must be a string or a function that returns one')
  }
  if (!(Number.isInteger(sessions) && sessions >= 1 && sessions <= 64)) {
    throw new TypeError('"sessions" must be a whole number from 1 to 64')
  }
  const { connection, release } = shareConnection({
    location: { module, libraryParameters, token, sessions },
    isolate: options.isolate ?? true,
    pin,
    allowFinalPinTry: options.allowFinalPinTry ?? false,
  })
  try {
    const key = await connection.describeKey(selector, timeoutSeconds)
    const alg = chooseAlgorithm(options.alg, algorithmsOf(key), key.mechanisms)
    const method = signingMethod(alg, key.mechanisms)
    if (method === undefined) throw impossible(alg, key.mechanisms)
    const backend = {
      name: 'pkcs11',
      alg,
      publicKey: publicKeyOf(key, options.publicKey),
      sign: (request: Parameters<typeof method.input>[0]) =>
        connection.sign(
          selector,
          method.mechanism,
          method.input(request),
          request.signal,
          timeoutSeconds,
        ),
    }
    const { kid } = options
    await createSigner(backend, { kid, timeoutSeconds }).sign(Buffer.from('countersign'))
    const signer = createSigner(backend, { kid, timeoutSeconds, verify: options.verify })
    return Object.freeze({ ...signer, close: release, [Symbol.asyncDispose]: release })
  } catch (error) {
    await release()
    throw error
  }
}

function chooseAlgorithm(
  asked: JwsAlgorithm | undefined,
  ofKey: readonly JwsAlgorithm[],
  mechanisms: readonly number[],
): JwsAlgorithm {
  if (asked !== undefined && !ofKey.includes(asked)) {
    throw failure(
      'ERR_SIGNER_CONFIG',
      `The algorithm ${String(asked).slice(0, 24)} does not fit this key; use one of ${ofKey.join(', ')}`,
    )
  }
  const [first] = ofKey
  const alg = asked ?? ofKey.find((one) => signingMethod(one, mechanisms) !== undefined) ?? first
  if (alg === undefined)
    throw failure('ERR_SIGNER_KEY_UNSUPPORTED', 'This key makes no JWS signature')
  return alg
}

function impossible(alg: JwsAlgorithm, mechanisms: readonly number[]): SignerError {
  const possible = possibleAlgorithms(mechanisms)
  return failure(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `The token has no mechanism for ${alg}; it can make ${possible.length === 0 ? 'no JWS signature at all' : possible.join(', ')}`,
  )
}

function requireString(value: unknown, option: string): asserts value is string {
  if (typeof value !== 'string' || value === '')
    throw new TypeError(`"${option}" must be a non-empty string`)
}

function requireToken(token: TokenSelector): void {
  const { label, serial, slot } = token ?? {}
  if (label === undefined && serial === undefined && slot === undefined) {
    throw new TypeError('"token" must have a "label", a "serial" or a "slot"')
  }
  if (slot !== undefined && !(Number.isInteger(slot) && slot >= 0)) {
    throw new TypeError('"token.slot" must be a whole number')
  }
}

function keySelector({ label, id }: Pkcs11SignerOptions['key']): KeySelector {
  const hex = id instanceof Uint8Array ? Buffer.from(id).toString('hex') : id
  if (hex !== undefined && !/^(?:[0-9a-f]{2})+$/i.test(hex)) {
    throw new TypeError('"key.id" must be octets, or octets in hexadecimal')
  }
  if (label === undefined && hex === undefined)
    throw new TypeError('"key" must have a "label" or an "id"')
  return { label, id: hex?.toLowerCase() }
}
