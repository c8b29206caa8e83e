/**
 * Why a signer could not be made or did not sign, as a stable code for programs.
 *
 * | code | meaning | `retryable` |
 * |---|---|---|
 * | `ERR_SIGNER_CONFIG` | the options do not describe a usable signer | no |
 * | `ERR_SIGNER_KEY_NOT_FOUND` | no key by this name | no |
 * | `ERR_SIGNER_KEY_UNSUPPORTED` | the key exists but cannot make a JWS signature here | no |
 * | `ERR_SIGNER_KEY_DISABLED` | the key is disabled, expired or about to be deleted | no |
 * | `ERR_SIGNER_ACCESS_DENIED` | the caller lacks a permission, a PIN or a passphrase | no |
 * | `ERR_SIGNER_THROTTLED` | the key's service refuses for now | yes |
 * | `ERR_SIGNER_UNAVAILABLE` | the key's service cannot be reached or is failing | yes |
 * | `ERR_SIGNER_TIMEOUT` | the signer's deadline passed | yes |
 * | `ERR_SIGNER_INTEGRITY` | a signature or a public key came back that is not the key's own | no |
 * | `ERR_SIGNER_BACKEND` | any other failure of the backend, kept as `cause` | no |
 */
export type SignerErrorCode =
  | 'ERR_SIGNER_CONFIG'
  | 'ERR_SIGNER_KEY_NOT_FOUND'
  | 'ERR_SIGNER_KEY_UNSUPPORTED'
  | 'ERR_SIGNER_KEY_DISABLED'
  | 'ERR_SIGNER_ACCESS_DENIED'
  | 'ERR_SIGNER_THROTTLED'
  | 'ERR_SIGNER_UNAVAILABLE'
  | 'ERR_SIGNER_TIMEOUT'
  | 'ERR_SIGNER_INTEGRITY'
  | 'ERR_SIGNER_BACKEND'

/** Options of the constructor of {@link SignerError}. */
export interface SignerErrorOptions {
  /** Name of the backend, such as `aws-kms`; `core` for failures outside a backend. */
  backend?: string | undefined
  /** The vendor's own error. */
  cause?: unknown
  /** Whether the same call may succeed later; by default decided by the code. */
  retryable?: boolean | undefined
}

const transient: ReadonlySet<SignerErrorCode> = new Set([
  'ERR_SIGNER_THROTTLED',
  'ERR_SIGNER_UNAVAILABLE',
  'ERR_SIGNER_TIMEOUT',
])

// Two copies of this package in one process must recognise each other's errors.
const brand = Symbol.for('@countersign/core.SignerError')

/**
 * A signer could not be made, or did not sign.
 *
 * The message says what was refused, what was found and what would be accepted; it never contains
 * a key, a PIN, a passphrase, an assertion or a token. Misuse of a function is a `TypeError` instead.
 *
 * @example
 * ```ts
 * import { type Signer, SignerError } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * try {
 *   await signer.sign(new Uint8Array(32))
 * } catch (error) {
 *   if (SignerError.is(error) && error.retryable) {
 *     // try again later
 *   } else {
 *     throw error
 *   }
 * }
 * ```
 */
export class SignerError extends Error {
  /** Why it failed, as a stable string. */
  readonly code: SignerErrorCode
  /** Name of the backend, such as `aws-kms`; `core` for failures outside a backend. */
  readonly backend: string
  /** Whether the same call may succeed later. */
  readonly retryable: boolean

  constructor(code: SignerErrorCode, message: string, options: SignerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.backend = options.backend ?? 'core'
    this.retryable = options.retryable ?? transient.has(code)
  }

  static {
    Object.defineProperty(SignerError.prototype, 'name', { value: 'SignerError' })
    Object.defineProperty(SignerError.prototype, brand, { value: true })
  }

  /** Tells whether a value is a {@link SignerError}, of this or another copy of the package. */
  static is(value: unknown): value is SignerError {
    return typeof value === 'object' && value !== null && brand in value
  }
}

/** The code and the message that a vendor's error gets. */
export interface SignerFailure {
  readonly code: SignerErrorCode
  /** What was refused and what to do; nothing secret. */
  readonly message: string
  readonly retryable?: boolean
}

/** A key service: its name, and how its errors read. */
export interface KeyService {
  /** Name for errors and diagnostics, such as `aws-kms`. */
  readonly name: string
  /** Names a vendor's error; `undefined` leaves it at `ERR_SIGNER_BACKEND`. */
  describeError?(error: unknown): SignerFailure | undefined
}

/** Turns what a key service threw into a {@link SignerError}. */
export function asSignerError(error: unknown, backend: KeyService, doing: string): SignerError {
  if (SignerError.is(error)) return error
  const { code, message, retryable } = describeError(error, backend) ?? {
    code: 'ERR_SIGNER_BACKEND',
    message: `${backend.name} could not ${doing}; the cause says why`,
  }
  return new SignerError(code, message, { backend: backend.name, cause: error, retryable })
}

function describeError(error: unknown, backend: KeyService): SignerFailure | undefined {
  try {
    return backend.describeError?.(error)
  } catch {
    // An error that nobody expected must not be hidden by a failure to name it.
    return undefined
  }
}

/**
 * Explains why a package could not be imported, for a caller that awaits the `import()` in a `try` block of its own.
 *
 * Bundlers accept an `import()` of a package that may not be installed only in that form.
 *
 * @param name - the package to install.
 * @param cause - what the `import()` threw.
 * @param backend - name of the backend, for errors.
 * @param companions - peer dependencies of the package, to be installed with it.
 * @returns an `ERR_SIGNER_CONFIG` that says what to install when the package is missing.
 *
 * @example
 * ```ts
 * import { peerError } from '@countersign/core/backend'
 *
 * async function loadJose() {
 *   try {
 *     return await import('jose')
 *   } catch (cause) {
 *     throw peerError('jose', cause, 'my-vault')
 *   }
 * }
 * ```
 *
 * @see [Node.js, ERR_MODULE_NOT_FOUND](https://nodejs.org/api/errors.html#err_module_not_found)
 */
export function peerError(
  name: string,
  cause: unknown,
  backend: string,
  companions: readonly string[] = [],
): SignerError {
  const { code, message } = (cause ?? {}) as {
    readonly code?: unknown
    readonly message?: unknown
  }
  const absent =
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') &&
    String(message).includes(`'${name}'`)
  return new SignerError(
    'ERR_SIGNER_CONFIG',
    absent
      ? `The package ${name} is not installed; run "npm install ${[name, ...companions].join(' ')}"`
      : `The package ${name} cannot be loaded on Node.js ${process.versions.node}; the cause says why`,
    { backend, cause },
  )
}
