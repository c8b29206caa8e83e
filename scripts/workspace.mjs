import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's folder. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** The folder of everything that can be fetched or generated again; ignored by git. */
export const cache = join(root, '.cache')

/**
 * @typedef {object} Manifest
 * @property {string} name
 * @property {string} version
 * @property {boolean} [private]
 * @property {string} [main]
 * @property {string} [packageManager]
 * @property {Record<string, string>} [scripts]
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 * @property {Record<string, string>} [devDependencies]
 * @property {Record<string, string>} [peerDependencies]
 * @property {Record<string, { optional?: boolean }>} [peerDependenciesMeta]
 * @property {Record<string, string | { types: string, default: string }>} [exports]
 */

/**
 * @typedef {object} Workspace
 * @property {string} folder its name in the parent folder, such as `core`
 * @property {string} path absolute
 * @property {Manifest} manifest
 */

/**
 * @param {string} path absolute
 * @returns {Manifest}
 */
export function readManifest(path) {
  return JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
}

/**
 * Returns the folders in `parent` that contain a package.json, sorted by name.
 *
 * @param {string} parent
 * @returns {Workspace[]}
 */
function workspacesIn(parent) {
  const parentPath = join(root, parent)
  if (!existsSync(parentPath)) return []
  return readdirSync(parentPath)
    .sort()
    .map((folder) => ({ folder, path: join(parentPath, folder) }))
    .filter(({ path }) => existsSync(join(path, 'package.json')))
    .map(({ folder, path }) => ({ folder, path, manifest: readManifest(path) }))
}

/** The workspaces in `packages/`. */
export const packages = () => workspacesIn('packages')

/** The workspaces in `packages/` that are published. */
export const publishable = () => packages().filter(({ manifest }) => manifest.private !== true)

/** The workspaces in `examples/`. */
export const examples = () => workspacesIn('examples')

/** All members of the pnpm workspace except the root. */
export const members = () => [
  ...packages(),
  ...examples(),
  ...workspacesIn('.').filter(({ folder }) => folder === 'test'),
]
