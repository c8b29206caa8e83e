import { SignerError } from './error.ts'

/**
 * Imports a package that the user installs separately: a vendor's SDK, or a backend that a URI names.
 *
 * @param name - the package to install.
 * @param load - imports it; a literal `import()`, so that bundlers see it.
 * @param backend - name of the backend, for errors.
 * @param companions - packages that the user has to install with it.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when it is not installed, or cannot be loaded.
 *
 * @example
 * ```ts
 * import { importPeer } from '@countersign/core/backend'
 *
 * const jose = await importPeer('jose', () => import('jose'), 'my-vault')
 * ```
 *
 * @see [Node.js, ERR_MODULE_NOT_FOUND](https://nodejs.org/api/errors.html#err_module_not_found)
 */
export async function importPeer<T>(
  name: string,
  load: () => Promise<T>,
  backend: string,
  companions: readonly string[] = [],
): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw peerError(name, cause, backend, companions)
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
