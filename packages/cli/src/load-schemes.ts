import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { peerError } from '@countersign/core/backend'
import type { KeyScheme } from '@countersign/uri'
import { UsageError } from './errors.ts'

const packageName = /^(?:@[a-z\d][a-z\d._~-]*\/)?[a-z\d][a-z\d._~-]*$/

/**
 * Loads the key URI schemes of packages: the array that each exports as `schemes`.
 *
 * A package is found where the command is installed, or else from the current folder. It must be named as it is in
 * `package.json`: importing it runs its code.
 *
 * @throws {@link UsageError} when a name is not the name of a package, or a package exports no schemes.
 * @throws `SignerError` `ERR_SIGNER_CONFIG` when a package is not installed, or cannot be loaded.
 */
export async function loadSchemes(names: readonly string[] = []): Promise<KeyScheme[]> {
  return (await Promise.all(names.map(loadPackage))).flat()
}

async function loadPackage(name: string): Promise<readonly KeyScheme[]> {
  if (!packageName.test(name)) {
    throw new UsageError(
      '--scheme takes the name of an installed package, such as @acme/countersign-vault, and not a path, URL or version',
    )
  }
  const { schemes } = await importPackage(name)
  if (Array.isArray(schemes)) return schemes
  throw new UsageError(
    `The package ${name} must export "schemes", an array of key URI schemes, to be named with --scheme`,
  )
}

async function importPackage(name: string): Promise<{ readonly schemes?: unknown }> {
  const { resolve } = createRequire(import.meta.url)
  const paths = [fileURLToPath(new URL('.', import.meta.url)), process.cwd()]
  try {
    return await import(pathToFileURL(resolve(name, { paths })).href)
  } catch (cause) {
    throw peerError(name, cause, 'uri')
  }
}
