import type { KeyObject } from 'node:crypto'
import {
  algorithms,
  type EcdsaAlgorithm,
  type JwsAlgorithm,
  requireJwsAlgorithm,
} from './algorithm.ts'
import { SignerError, type SignerErrorCode } from './error.ts'
import {
  describePublicKey,
  type PublicJwk,
  type PublicKeyInput,
  readPublicKey,
} from './public-key.ts'
import { BoundedRequest, type SignRequest } from './sign-request.ts'
import { signatureLength, verifySignature } from './signature.ts'
import type { KeyProtection, Signer, SignOptions } from './signer.ts'
import { asSignerError, type SignerFailure } from './signer-failure.ts'
import { thumbprint } from './thumbprint.ts'
import { type SignMessage, signChannel } from './tracing.ts'

/** The two answers that make a key service into a signer: its public key, and a signature. */
export interface SignerBackend {
  /** Name for errors and diagnostics, such as `aws-kms`. */
  readonly name: string
  /** The one algorithm the key is used with. */
  readonly alg: JwsAlgorithm
  /** The public key: `KeyObject`, JWK, SPKI in PEM or in DER. */
  readonly publicKey: PublicKeyInput
  /** How the key is kept, where the service says so; the signer repeats it. */
  readonly protection?: KeyProtection | undefined
  /** How `sign` returns an ECDSA signature; `raw` (r ‖ s) unless said otherwise. */
  readonly signatureFormat?: 'raw' | 'der'
  /**
   * Makes one signature. Returning it without a promise means that it took no waiting, and
   * the deadline does not apply.
   */
  sign(request: SignRequest): Uint8Array | Promise<Uint8Array>
  /** Names a vendor's error; `undefined` leaves it at `ERR_SIGNER_BACKEND`. */
  describeError?(error: unknown): SignerFailure | undefined
}

/** Options of {@link createSigner}, which factories hand on. */
export interface CreateSignerOptions {
  /** Key ID to publish and to put in headers; by default the RFC 7638 SHA-256 thumbprint. */
  readonly kid?: string | undefined
  /** Bound on one signature, all of the backend's own retries included; 10 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Whether each signature is verified with the public key before it is handed out; `true` by default. */
  readonly verify?: boolean | undefined
}

/**
 * Turns a backend into a {@link Signer}.
 *
 * It checks that algorithm, key type, curve and size agree; hashes the input or passes it through;
 * holds each call to one deadline and the caller's `AbortSignal`; turns DER into r ‖ s; checks the width
 * of each signature and verifies it with the public key; gives every failure one of the codes of
 * {@link SignerErrorCode}; and reports each signature on the diagnostics channel `countersign:sign`.
 *
 * @param backend - the public key and the verb.
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
  const { name } = backend
  if (typeof name !== 'string' || name === '')
    throw new TypeError('"backend.name" must be a non-empty string')
  if (typeof backend.sign !== 'function') throw new TypeError('"backend.sign" must be a function')
  const { signatureFormat = 'raw' } = backend
  if (signatureFormat !== 'raw' && signatureFormat !== 'der')
    throw new TypeError('"backend.signatureFormat" must be "raw" or "der"')
  const alg = requireJwsAlgorithm(backend.alg, name)
  const key = readPublicKey(backend.publicKey, name)
  const described = describePublicKey(key, alg, name)
  const kid = options.kid ?? thumbprint({ ...described, alg })
  if (typeof kid !== 'string' || kid === '') throw new TypeError('"kid" must be a non-empty string')
  const seconds = secondsOf(options)
  const verify = options.verify ?? true
  if (typeof verify !== 'boolean') throw new TypeError('"verify" must be a boolean')
  const publicJwk = Object.freeze({ ...described, kid, alg, use: 'sig' }) as unknown as PublicJwk
  const finish = finisher(backend, alg, key, verify)
  const { hash } = algorithms[alg]

  function attempt(
    signingInput: Uint8Array,
    options?: SignOptions,
  ): Uint8Array | Promise<Uint8Array> {
    if (!(signingInput instanceof Uint8Array))
      throw new TypeError('"signingInput" must be a Uint8Array')
    const signal = options?.signal
    if (signal && typeof signal.addEventListener !== 'function')
      throw new TypeError('"signal" must be an AbortSignal')
    const start = signChannel.hasSubscribers ? performance.now() : undefined
    try {
      signal?.throwIfAborted()
      const request = new BoundedRequest(signingInput, hash, seconds, signal, name)
      const result = backend.sign(request)
      const finished =
        result instanceof Uint8Array ? finish(signingInput, result) : settle(request, result)
      return finished instanceof Uint8Array
        ? signed(finished, start)
        : conclude(finished, signal, start)
    } catch (error) {
      throw failed(error, signal, start)
    }
  }

  async function settle(request: BoundedRequest, result: Promise<Uint8Array>): Promise<Uint8Array> {
    return finish(request.message, await request.settle(result))
  }

  async function conclude(
    finished: Promise<Uint8Array>,
    signal: AbortSignal | undefined,
    start: number | undefined,
  ): Promise<Uint8Array> {
    try {
      return signed(await finished, start)
    } catch (error) {
      throw failed(error, signal, start)
    }
  }

  function signed(octets: Uint8Array, start: number | undefined): Uint8Array {
    if (start !== undefined) report(start, 'signed')
    return octets
  }

  function failed(
    error: unknown,
    signal: AbortSignal | undefined,
    start: number | undefined,
  ): unknown {
    if (signal?.aborted && Object.is(error, signal.reason)) {
      if (start !== undefined) report(start, 'aborted')
      return error
    }
    const failure = asSignerError(error, backend, 'sign')
    if (start !== undefined) report(start, 'failed', failure.code)
    return failure
  }

  function report(start: number, outcome: SignMessage['outcome'], code?: SignerErrorCode): void {
    const durationSeconds = (performance.now() - start) / 1000
    const message = { backend: name, alg, kid, durationSeconds, outcome }
    signChannel.publish(code === undefined ? message : { ...message, code })
  }

  const signer: Signer = Object.freeze({
    alg,
    kid,
    publicJwk,
    ...(backend.protection !== undefined && { protection: backend.protection }),
    async sign(signingInput: Uint8Array, options?: SignOptions): Promise<Uint8Array> {
      return attempt(signingInput, options)
    },
  })
  attempts.set(signer, attempt)
  return signer
}

/** The deadline that the options ask for. */
export function secondsOf({ timeoutSeconds = 10 }: CreateSignerOptions): number {
  if (typeof timeoutSeconds === 'number' && timeoutSeconds > 0 && timeoutSeconds <= 600) {
    return timeoutSeconds
  }
  throw new TypeError('"timeoutSeconds" must be a number above 0 and up to 600')
}

const attempts = new WeakMap<
  Signer,
  (signingInput: Uint8Array, options?: SignOptions) => Uint8Array | Promise<Uint8Array>
>()

/** Signs as `signer.sign` does, but hands out and throws at once what takes no waiting. */
export function signAtOnce(
  signer: Signer,
  signingInput: Uint8Array,
  options: SignOptions,
): Uint8Array | Promise<Uint8Array> {
  const attempt = attempts.get(signer)
  return attempt === undefined ? signer.sign(signingInput, options) : attempt(signingInput, options)
}

/** Makes what stands between a backend's answer and the caller: conversion, width and verification. */
function finisher(backend: SignerBackend, alg: JwsAlgorithm, key: KeyObject, verify: boolean) {
  const length = signatureLength(alg, key)
  const refuse = (why: string) =>
    new SignerError(
      'ERR_SIGNER_INTEGRITY',
      `${backend.name} returned ${why}; it was not handed out`,
      {
        backend: backend.name,
      },
    )
  const check = (signingInput: Uint8Array, signature: Uint8Array): Uint8Array => {
    if (signature.byteLength !== length) {
      throw refuse(`a signature of ${signature.byteLength} octets where ${alg} has ${length}`)
    }
    if (verify && !verifySignature(alg, key, signingInput, signature)) {
      throw refuse('a signature that does not verify with the public key of this signer')
    }
    return signature
  }
  const requireOctets = (signature: unknown): Uint8Array => {
    if (signature instanceof Uint8Array && signature.byteLength > 0) return signature
    throw refuse('no signature')
  }
  if (backend.signatureFormat !== 'der' || algorithms[alg].kty !== 'EC') {
    return (signingInput: Uint8Array, signature: unknown) =>
      check(signingInput, requireOctets(signature))
  }
  // Loaded here and not at the top, so that signers without DER never load an ASN.1 parser.
  const der = import('./der.ts')
  der.catch(() => {})
  return async (signingInput: Uint8Array, signature: unknown) => {
    const { derToRaw } = await der
    const octets = requireOctets(signature)
    let raw: Uint8Array
    try {
      raw = derToRaw(octets, alg as EcdsaAlgorithm)
    } catch {
      throw refuse('a signature that is not canonical DER')
    }
    return check(signingInput, raw)
  }
}
