import type { KeyObject } from 'node:crypto'
import {
  algorithms,
  type EcdsaAlgorithm,
  type JwsAlgorithm,
  requireJwsAlgorithm,
} from './algorithm.ts'
import { SignerError, type SignerErrorCode } from './error.ts'
import { ownOptions, requireSignal, requireString, requireTimeout } from './options.ts'
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
  const finish = finisher(backend, alg, key, verify)
  const { hash } = algorithms[alg]

  async function sign(signingInput: Uint8Array, options?: SignOptions): Promise<Uint8Array> {
    if (!(signingInput instanceof Uint8Array))
      throw new TypeError('"signingInput" must be a Uint8Array')
    const signal = options?.signal
    requireSignal(signal)
    const start = performance.now()
    try {
      signal?.throwIfAborted()
      // What is verified in the end is this copy, whatever the caller or the backend does to theirs.
      const input = new Uint8Array(signingInput)
      const request = new BoundedRequest(input, hash, timeoutSeconds, signal, name)
      const result = backend.sign(request)
      const octets = result instanceof Uint8Array ? result : await request.settle(result)
      const signature = await finish(input, octets)
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

/** Makes the checks of a backend's answer: conversion from DER, width, and verification. */
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
  const copyOctets = (signature: unknown): Uint8Array => {
    // A copy, so that a backend cannot change it after it was checked, and no caller gets a view into a larger buffer.
    if (signature instanceof Uint8Array && signature.byteLength > 0)
      return new Uint8Array(signature)
    throw refuse('no signature')
  }
  if (backend.signatureFormat !== 'der' || algorithms[alg].kty !== 'EC') {
    return (signingInput: Uint8Array, signature: unknown) =>
      check(signingInput, copyOctets(signature))
  }
  // Loaded here and not at the top, so that signers without DER never load an ASN.1 parser.
  const der = import('./der.ts')
  der.catch(() => {})
  return async (signingInput: Uint8Array, signature: unknown) => {
    const { derToRaw } = await der
    const octets = copyOctets(signature)
    let raw: Uint8Array
    try {
      raw = derToRaw(octets, alg as EcdsaAlgorithm)
    } catch {
      throw refuse('a signature that is not canonical DER')
    }
    return check(signingInput, raw)
  }
}
