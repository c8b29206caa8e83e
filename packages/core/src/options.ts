/**
 * Copies an object of options to one without a prototype, so that an option that was left out is not read from a
 * polluted `Object.prototype`.
 *
 * @param options - the caller's options.
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

/**
 * Refuses a value that is not a non-empty string.
 *
 * @param option - name of the option, for the error.
 * @throws `TypeError` that names the option.
 *
 * @example
 * ```ts
 * import { requireString } from '@countersign/core/backend'
 *
 * requireString('alias/agent', 'keyId')
 * ```
 */
export function requireString(value: unknown, option: string): asserts value is string {
  if (typeof value !== 'string' || value === '') {
    throw new TypeError(`"${option}" must be a non-empty string`)
  }
}

/**
 * Refuses a value of the option `timeoutSeconds` that is not a number above 0 and up to 600.
 *
 * @throws `TypeError` that names the option.
 *
 * @example
 * ```ts
 * import { requireTimeout } from '@countersign/core/backend'
 *
 * requireTimeout(2.5)
 * ```
 */
export function requireTimeout(value: unknown): asserts value is number {
  if (typeof value === 'number' && value > 0 && value <= 600) return
  throw new TypeError('"timeoutSeconds" must be a number above 0 and up to 600')
}

/**
 * Refuses a value of the option `signal` that is given and is not an `AbortSignal`.
 *
 * @throws `TypeError` that names the option.
 *
 * @example
 * ```ts
 * import { requireSignal } from '@countersign/core/backend'
 *
 * requireSignal(AbortSignal.timeout(1000))
 * ```
 */
export function requireSignal(value: unknown): asserts value is AbortSignal | null | undefined {
  const { addEventListener } = (value ?? {}) as { readonly addEventListener?: unknown }
  if (value === undefined || value === null || typeof addEventListener === 'function') return
  throw new TypeError('"signal" must be an AbortSignal')
}
