import { createHash } from 'node:crypto'
import { Deadline } from './abort.ts'
import { algorithms, type JwsAlgorithm, requireJwsAlgorithm } from './algorithm.ts'
import { type SignMessage, signChannel } from './diagnostics.ts'
import { asSignerError, type KeyService, SignerError, type SignerErrorCode } from './error.ts'
import { ownOptions, requireSignal, requireString, requireTimeout } from './options.ts'
import {
  describePublicKey,
  type PublicJwk,
  type PublicKeyInput,
  readPublicKey,
} from './public-key.ts'
import { signatureCheck } from './signature.ts'
import type { KeyProtection, Signer, SignOptions } from './signer.ts'
import { thumbprint } from './thumbprint.ts'

/** The two answers that make a key service into a signer: its public key, and a signature. */
export interface SignerBackend extends KeyService {
  /** The one algorithm the key is used with. */
  readonly alg: JwsAlgorithm
  /** The public key: `KeyObject`, JWK, SPKI in PEM or in DER. */
  readonly publicKey: PublicKeyInput
  /** How the key is kept, where the service says so; the signer shows it. */
  readonly protection?: KeyProtection | undefined
  /** How `sign` returns an ECDSA signature; `raw` (r ‖ s) unless said otherwise. */
  readonly signatureFormat?: 'raw' | 'der'
  /**
   * Makes one signature. The deadline does not apply to a signature that is returned without a promise.
   */
  sign(request: SignRequest): Uint8Array | Promise<Uint8Array>
}

/** Options of {@link createSigner}, which factories pass on. */
export interface CreateSignerOptions {
  /** Key ID to publish and to put in headers; by default the RFC 7638 SHA-256 thumbprint. */
  readonly kid?: string | undefined
  /** Bound on one signature, all of the backend's own retries included; 10 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Whether each signature is verified with the public key before it is returned; `true` by default. */
  readonly verify?: boolean | undefined
}

/**
 * Turns a backend into a {@link Signer}.
 *
 * It checks that algorithm, key type, curve and size agree; hashes the input or passes it through;
 * bounds each call by one deadline and the caller's `AbortSignal`; turns DER into r ‖ s; checks the width
 * of each signature and verifies it with the public key; gives every failure one of the codes of
 * {@link SignerErrorCode}; and reports each signature on the diagnostics channel `countersign:sign`.
 *
 * @param backend - the public key, and the function that signs.
 * @param options - key ID, deadline in seconds, verification.
 * @returns the frozen signer.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when the algorithm does not fit the key,
 *   `ERR_SIGNER_KEY_UNSUPPORTED` when no algorithm does.
 * @throws `TypeError` when an argument is not of its type.
 *
 * @example
 * ```ts
 * import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
 * import { readFileSync } from 'node:fs'
 * import { createSigner } from '@countersign/core'
 *
 * const key = createPrivateKey(readFileSync('key.pem'))
 *
 * const signer = createSigner({
 *   name: 'my-vault',
 *   alg: 'ES256',
 *   publicKey: createPublicKey(key),
 *   signatureFormat: 'der',
 *   async sign({ message, hash }) {
 *     return sign(hash, message, key)
 *   },
 * })
 * ```
 *
 * @see [RFC 7515 §5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)
 */
export function createSigner(backend: SignerBackend, options: CreateSignerOptions = {}): Signer {
  const { name, signatureFormat = 'raw' } = backend
  requireString(name, 'backend.name')
  if (typeof backend.sign !== 'function') throw new TypeError('"backend.sign" must be a function')
  if (signatureFormat !== 'raw' && signatureFormat !== 'der')
    throw new TypeError('"backend.signatureFormat" must be "raw" or "der"')
  const alg = requireJwsAlgorithm(backend.alg, name)
  const key = readPublicKey(backend.publicKey, name)
  const described = describePublicKey(key, alg, name)
  const given = ownOptions(options)
  const { kid = thumbprint({ ...described, alg }), timeoutSeconds = 10, verify = true } = given
  requireString(kid, 'kid')
  requireTimeout(timeoutSeconds)
  if (typeof verify !== 'boolean') throw new TypeError('"verify" must be a boolean')
  const publicJwk = Object.freeze({ ...described, kid, alg, use: 'sig' }) as unknown as PublicJwk
  const check = signatureCheck({ backend: name, alg, key, format: signatureFormat, verify })
  const { hash } = algorithms[alg]

  async function sign(signingInput: Uint8Array, options?: SignOptions): Promise<Uint8Array> {
    if (!(signingInput instanceof Uint8Array))
      throw new TypeError('"signingInput" must be a Uint8Array')
    const signal = options?.signal
    requireSignal(signal)
    const start = performance.now()
    try {
      signal?.throwIfAborted()
      const message = new Uint8Array(signingInput)
      // The signature is verified against a copy that neither the caller nor the backend can change meanwhile.
      const input = verify ? new Uint8Array(message) : message
      const request = new BoundedRequest(message, input, hash, timeoutSeconds, signal, name)
      const result = backend.sign(request)
      const octets = result instanceof Uint8Array ? result : await request.settle(result)
      const checked = check(input, octets)
      const signature = checked instanceof Uint8Array ? checked : await checked
      report(start, 'signed')
      return signature
    } catch (error) {
      if (signal?.aborted && Object.is(error, signal.reason)) {
        report(start, 'aborted')
        throw error
      }
      const failure = asSignerError(error, backend, 'sign')
      report(start, 'failed', failure.code)
      throw failure
    }
  }

  function report(start: number, outcome: SignMessage['outcome'], code?: SignerErrorCode): void {
    if (!signChannel.hasSubscribers) return
    const durationSeconds = (performance.now() - start) / 1000
    const message = { backend: name, alg, kid, durationSeconds, outcome }
    signChannel.publish(code === undefined ? message : { ...message, code })
  }

  const { protection } = backend
  return Object.freeze({
    alg,
    kid,
    publicJwk,
    ...(protection !== undefined && { protection }),
    sign,
  })
}

/** A request to sign. A backend uses the message or the digest, as its key service wants. */
export interface SignRequest {
  /** The JWS signing input itself, as a copy for this backend. */
  readonly message: Uint8Array
  /** Name of the algorithm's hash; `undefined` for EdDSA and ML-DSA, which take the message. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | undefined
  /** Digest of the message under that hash, computed when first read; `undefined` where there is no hash. */
  readonly digest: Uint8Array | undefined
  /** Aborts when the caller aborts or the deadline passes. */
  readonly signal: AbortSignal
  /** Whether that has happened; cheaper than `signal.aborted`, which makes a signal. */
  readonly aborted: boolean
}

/** A request that is bounded by a deadline and the caller's signal. The digest is computed on demand. */
class BoundedRequest extends Deadline implements SignRequest {
  readonly message: Uint8Array
  readonly hash: SignRequest['hash']
  readonly #input: Uint8Array
  #digest: Uint8Array | undefined

  constructor(
    message: Uint8Array,
    input: Uint8Array,
    hash: SignRequest['hash'],
    seconds: number,
    callerSignal: AbortSignal | undefined,
    backend: string,
  ) {
    super(seconds, callerSignal, () => tooLate(backend, 'sign', seconds))
    this.message = message
    this.#input = input
    this.hash = hash
  }

  get digest(): Uint8Array | undefined {
    if (this.hash === undefined) return undefined
    this.#digest ??= new Uint8Array(createHash(this.hash).update(this.#input).digest())
    return this.#digest
  }
}

/** The error of a deadline that passed. */
export function tooLate(backend: string, doing: string, seconds: number): SignerError {
  return new SignerError(
    'ERR_SIGNER_TIMEOUT',
    `${backend} did not ${doing} within ${seconds} s; raise "timeoutSeconds" if the key service needs longer`,
    { backend },
  )
}
