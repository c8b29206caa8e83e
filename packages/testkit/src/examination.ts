import { randomUUID } from 'node:crypto'
import { type Signer, SignerError, type SignOptions } from '@countersign/core'
import { signatureFault, type VerificationKey } from './verifier.ts'
import { type CheckName, type Findings, nameOf } from './violations.ts'

/** A signer that is checked, with its key and what was found. */
export class Examination {
  readonly signer: Signer
  readonly key: VerificationKey
  readonly findings: Findings
  readonly seconds: number
  /** Every signature that was returned, with a copy made at that time. */
  readonly #returned: { readonly octets: Uint8Array; readonly copy: Uint8Array }[] = []

  constructor(signer: Signer, key: VerificationKey, findings: Findings, seconds: number) {
    this.signer = signer
    this.key = key
    this.findings = findings
    this.seconds = seconds
  }

  /** Calls `sign` with exactly these arguments. */
  call(input: unknown, options?: SignOptions): Promise<Outcome> {
    const { signer } = this
    return settle(() => signer.sign(input as Uint8Array, options), this.seconds)
  }

  /** Signs an input. If that gives no signature, reports it under the check. */
  async signature(check: CheckName, input: Uint8Array): Promise<Uint8Array | undefined> {
    // A copy, so that a signer that writes to its input is not also reported for a wrong signature.
    return this.octets(check, await this.call(new Uint8Array(input)))
  }

  /** Returns the signature of an outcome, or reports why there is none. */
  octets(check: CheckName, outcome: Outcome): Uint8Array | undefined {
    if (outcome.state === 'pending') {
      this.findings.report(check, `sign() did not settle within ${this.seconds} s`)
    } else if (outcome.state === 'rejected') {
      this.#refused(check, outcome)
    } else if (!outcome.promised) {
      this.findings.report(check, 'sign() returned a value; it must return a promise')
    } else if (!(outcome.value instanceof Uint8Array) || outcome.value.byteLength === 0) {
      const found = outcome.value instanceof Uint8Array ? 'no octets' : kindOf(outcome.value)
      this.findings.report(check, `sign() resolved to ${found}; it must resolve to a Uint8Array`)
    } else {
      const copy = new Uint8Array(outcome.value)
      this.#returned.push({ octets: outcome.value, copy })
      return copy
    }
    return undefined
  }

  /**
   * Verifies a signature. A fault that shows only sometimes, such as a wrong width, is reported under its own name,
   * whichever check finds it; a signature that does not verify is reported under the check that made it.
   */
  verify(check: CheckName, input: Uint8Array, signature: Uint8Array): boolean {
    const fault = signatureFault(this.key, input, signature)
    if (fault === undefined) return true
    if (fault.check !== undefined) this.findings.report(fault.check, fault.message)
    else if (!this.#signsWrongly) this.findings.report(check, fault.message)
    return false
  }

  /** Whether two signatures share memory. */
  get sharesMemory(): boolean {
    const spans = this.#returned
      .map(({ octets }) => octets)
      .sort((a, b) => a.byteOffset - b.byteOffset)
    const ends = new Map<ArrayBufferLike, number>()
    return spans.some(({ buffer, byteOffset, byteLength }) => {
      const overlaps = byteOffset < (ends.get(buffer) ?? 0)
      ends.set(buffer, byteOffset + byteLength)
      return overlaps
    })
  }

  /** Whether a signature was changed after it was returned. */
  get hasChanged(): boolean {
    return this.#returned.some(({ octets, copy }) => Buffer.compare(octets, copy) !== 0)
  }

  /** A signer whose signatures are already reported as wrong is not reported again by other checks. */
  get #signsWrongly(): boolean {
    return this.findings.has('signature-verifies') || this.findings.has('signature-width')
  }

  #refused(check: CheckName, outcome: Outcome & { state: 'rejected' }): void {
    const { reason, promised } = outcome
    const how = promised ? 'rejected with' : 'threw, and did not reject with,'
    this.findings.report(
      check,
      `sign() ${how} ${nameOf(reason)} instead of returning a signature`,
      reason,
    )
    this.requireSignerError(reason)
  }

  /** Reports an error that has no code for the caller. */
  requireSignerError(reason: unknown): void {
    if (SignerError.is(reason)) return
    this.findings.report(
      'failure-is-signer-error',
      `sign() failed with ${nameOf(reason)}; it must fail with a SignerError, which has a code`,
      reason,
    )
  }
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value !== 'object') return `a value of type ${typeof value}`
  return Object.prototype.toString.call(value).slice(8, -1)
}

/** A signing input in the form of a JWS, different for each call. */
export function signingInput(name: string): Uint8Array {
  const [header, payload] = [{ alg: 'test' }, { name, jti: randomUUID() }].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  return new Uint8Array(Buffer.from(`${header}.${payload}`))
}

/** The result of a call. */
export type Outcome =
  | { readonly state: 'fulfilled'; readonly value: unknown; readonly promised: boolean }
  /** `promised` is false when the call threw instead of returning a promise. */
  | { readonly state: 'rejected'; readonly reason: unknown; readonly promised: boolean }
  /** It did not settle in time. */
  | { readonly state: 'pending' }

/**
 * Makes a call at once, and waits for its outcome for at most `seconds`.
 *
 * It leaves no timer, and an outcome after the timeout causes no unhandled rejection.
 */
export function settle(call: () => unknown, seconds: number): Promise<Outcome> {
  let promised = false
  let result: unknown
  try {
    result = call()
    promised = typeof (result as PromiseLike<unknown> | undefined)?.then === 'function'
  } catch (reason) {
    return Promise.resolve({ state: 'rejected', reason, promised })
  }
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ state: 'pending' }), seconds * 1000)
    const end = (outcome: Outcome) => {
      clearTimeout(timer)
      resolve(outcome)
    }
    Promise.resolve(result).then(
      (value) => end({ state: 'fulfilled', value, promised }),
      (reason) => end({ state: 'rejected', reason, promised }),
    )
  })
}
