import type { CheckName, Violation } from './violation.ts'

/** Collects violations, at most one per check: what a fault did first says most about it. */
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

  /** Tells whether a check has seen a violation. */
  has(check: CheckName): boolean {
    return this.#violations.has(check)
  }

  /** Makes a check that a signer may break in unforeseen ways, such as a getter that throws. */
  async guard<T>(check: CheckName, examine: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await examine()
    } catch (cause) {
      this.report(check, `the check could not be made, for ${nameOf(cause)} was thrown`, cause)
      return undefined
    }
  }

  /** The violations in the order they were seen. */
  get list(): Violation[] {
    return [...this.#violations.values()]
  }
}

/** An error by name and code. Its message is left to `cause`, since a report may be published. */
export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return `a value of type ${typeof error} that is not an Error`
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : ''
  return `${error.name}${code}`
}
