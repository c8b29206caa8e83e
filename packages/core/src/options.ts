/**
 * Copies an object of options to one without a prototype, so that an option that was left out is not read from a
 * polluted `Object.prototype`.
 *
 * @param options - what a caller passed.
 * @returns a copy of its own enumerable members.
 *
 * @example
 * ```ts
 * import { ownOptions } from '@countersign/core/backend'
 *
 * declare const options: { readonly verify?: boolean }
 *
 * const { verify = true } = ownOptions(options)
 * ```
 *
 * @see [CWE-1321](https://cwe.mitre.org/data/definitions/1321.html)
 */
export function ownOptions<Options extends object>(options: Options): Options {
  return Object.assign(Object.create(null), options)
}

/** Refuses anything but a non-empty string. */
export function requireString(value: unknown, option: string): asserts value is string {
  if (typeof value !== 'string' || value === '') {
    throw new TypeError(`"${option}" must be a non-empty string`)
  }
}

/** Refuses anything but a number of seconds above 0 and up to 600. */
export function requireTimeout(value: unknown): asserts value is number {
  if (typeof value === 'number' && value > 0 && value <= 600) return
  throw new TypeError('"timeoutSeconds" must be a number above 0 and up to 600')
}

/** Refuses what is there and is not an `AbortSignal`. */
export function requireSignal(value: unknown): asserts value is AbortSignal | null | undefined {
  const { addEventListener } = (value ?? {}) as { readonly addEventListener?: unknown }
  if (value === undefined || value === null || typeof addEventListener === 'function') return
  throw new TypeError('"signal" must be an AbortSignal')
}
