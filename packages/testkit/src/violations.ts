/**
 * The checks in the order in which they run. The names are stable: a name is never used for another claim. The table in
 * the package's README says what each one proves.
 */
export const checkNames = [
  'factory',
  'signer-shape',
  'signer-frozen',
  'no-private-members',
  'kid-non-empty',
  'alg-known',
  'verifier',
  'public-key-usable',
  'public-jwk-agrees',
  'public-jwk-canonical',
  'signs',
  'ecdsa-raw',
  'pss-salt-length',
  'signature-verifies',
  'signature-binds-input',
  'signature-width',
  'stable-identity',
  'input-view',
  'input-unchanged',
  'empty-input',
  'large-input',
  'misuse-is-type-error',
  'failure-is-signer-error',
  'jws-verifies',
  'client-assertion-verifies',
  'concurrent-signatures',
  'aborted-before-call',
  'aborted-in-flight',
  'signs-after-abort',
  'signature-unshared',
  'disposal',
] as const

/** Name of a check, such as `signature-width`. */
export type CheckName = (typeof checkNames)[number]

/** A requirement of the `Signer` interface that the signer does not meet. */
export interface Violation {
  /** The check that found it. The name is stable, so that results can be filtered by it. */
  readonly check: CheckName
  /** What was found and what was expected. Contains no part of a key and no message of an error. */
  readonly message: string
  /** The error of the signer, if there was one. */
  readonly cause?: unknown
}

/** Collects violations, at most one for each check: the first one says most about the fault. */
export class Findings {
  readonly #violations = new Map<CheckName, Violation>()

  /** Records a violation, unless the check has one already. */
  report(check: CheckName, message: string, cause?: unknown): void {
    if (this.has(check)) return
    this.#violations.set(
      check,
      cause === undefined ? { check, message } : { check, message, cause },
    )
  }

  /** Whether a check has found a violation. */
  has(check: CheckName): boolean {
    return this.#violations.has(check)
  }

  /** Runs a check, and reports what it throws: a signer may have a getter that throws. */
  async guard<T>(check: CheckName, run: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await run()
    } catch (cause) {
      this.report(check, `the check failed with ${nameOf(cause)}`, cause)
      return undefined
    }
  }

  /** The violations in the order in which they were found. */
  get list(): Violation[] {
    return [...this.#violations.values()]
  }
}

/** The name and code of an error. Not its message, since a report may be published. */
export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return `a value of type ${typeof error} that is not an Error`
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : ''
  return `${error.name}${code}`
}
