/** A command that was not given what it needs. The message says what to give; nothing of a secret is in it. */
export class UsageError extends Error {
  readonly code: string = 'ERR_USAGE'

  static {
    Object.defineProperty(UsageError.prototype, 'name', { value: 'UsageError' })
  }
}
