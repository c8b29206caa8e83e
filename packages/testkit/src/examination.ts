import { type Signer, SignerError, type SignOptions } from '@countersign/core'
import { type Findings, nameOf } from './findings.ts'
import { type Outcome, settle } from './settle.ts'
import { signatureFault, type VerificationKey } from './verifier.ts'
import type { CheckName } from './violation.ts'

/** A signer whose algorithm and key are known, while it is being examined. */
export class Examination {
  readonly signer: Signer
  readonly key: VerificationKey
  readonly findings: Findings
  readonly seconds: number
  /** Every signature that was returned, and a copy of it at that time. */
  readonly #handedOut: { readonly octets: Uint8Array; readonly copy: Uint8Array }[] = []

  constructor(signer: Signer, key: VerificationKey, findings: Findings, seconds: number) {
    this.signer = signer
    this.key = key
    this.findings = findings
    this.seconds = seconds
  }

  /** Calls `sign` with exactly these arguments, at once. */
  call(input: unknown, options?: SignOptions): Promise<Outcome> {
    const { signer } = this
    return settle(() => signer.sign(input as Uint8Array, options), this.seconds)
  }

  /** Has an input signed, and reports under the check when no octets come of it. */
  async signature(check: CheckName, input: Uint8Array): Promise<Uint8Array | undefined> {
    // A copy, so that a signer that writes to its input is not blamed for a wrong signature too.
    return this.octets(check, await this.call(new Uint8Array(input)))
  }

  /** Takes the octets from an outcome that should be a signature, or reports why there are none. */
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
      this.#handedOut.push({ octets: outcome.value, copy })
      return copy
    }
    return undefined
  }

  /**
   * Judges a signature. What only goes wrong sometimes, such as the width, is reported under its own name
   * whichever check came across it; a signature that does not verify, under the check that made it.
   */
  prove(check: CheckName, input: Uint8Array, signature: Uint8Array): boolean {
    const fault = signatureFault(this.key, input, signature)
    if (fault === undefined) return true
    if (fault.check !== undefined) this.findings.report(fault.check, fault.message)
    else if (!this.#doubtful) this.findings.report(check, fault.message)
    return false
  }

  /** Whether two signatures share memory. */
  get handedOutTwice(): boolean {
    const spans = this.#handedOut
      .map(({ octets }) => octets)
      .sort((a, b) => a.byteOffset - b.byteOffset)
    const ends = new Map<ArrayBufferLike, number>()
    return spans.some(({ buffer, byteOffset, byteLength }) => {
      const overlaps = byteOffset < (ends.get(buffer) ?? 0)
      ends.set(buffer, byteOffset + byteLength)
      return overlaps
    })
  }

  /** Whether a signature has changed since it was returned. */
  get handedOutChanged(): boolean {
    return this.#handedOut.some(({ octets, copy }) => Buffer.compare(octets, copy) !== 0)
  }

  /** A signer that is known to sign wrongly, always or sometimes, is not blamed for it again. */
  get #doubtful(): boolean {
    return this.findings.has('signature-verifies') || this.findings.has('signature-width')
  }

  #refused(check: CheckName, outcome: Outcome & { state: 'rejected' }): void {
    const { reason, promised } = outcome
    const how = promised ? 'rejected with' : 'threw, instead of rejecting,'
    this.findings.report(
      check,
      `sign() ${how} ${nameOf(reason)} where a signature was expected`,
      reason,
    )
    this.requireSignerError(reason)
  }

  /** Reports a failure to sign that callers cannot branch on. */
  requireSignerError(reason: unknown): void {
    if (SignerError.is(reason)) return
    this.findings.report(
      'failure-is-signer-error',
      `sign() failed with ${nameOf(reason)}; every failure of a signer is a SignerError with a code`,
      reason,
    )
  }
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value !== 'object') return `a value of type ${typeof value}`
  return Object.prototype.toString.call(value).slice(8, -1)
}
