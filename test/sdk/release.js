// @ts-check
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { root } from '../../scripts/workspace.mjs'
import { npmRelease } from '../support/npm-release.js'
import { run } from '../support/run.js'

/**
 * A release of a vendor's SDK other than the workspace's.
 *
 * @typedef {object} SdkRelease
 * @property {'aws-kms' | 'gcp-kms' | 'azure-key-vault'} backend
 * @property {string} name
 * @property {string} version
 */

/**
 * The environment in which the tests run with a release in place of the workspace's.
 *
 * @param {SdkRelease} sdk
 * @returns {Record<string, string>}
 */
export function sdkEnvironment(sdk) {
  const place = npmRelease(sdk)
  return { COUNTERSIGN_SDK: `${sdk.name}=${createRequire(join(place, '_')).resolve(sdk.name)}` }
}

/**
 * Compiles test/sdk/BACKEND.ts, which passes a client of the SDK to our factory, with the types of a release.
 *
 * @param {SdkRelease} sdk
 * @returns {Promise<string | undefined>} the errors of the compiler
 */
export async function sdkComplaints(sdk) {
  const place = npmRelease(sdk)
  const own = (/** @type {string} */ folder) => join(root, 'packages', folder, 'dist/index.d.ts')
  const types = typesOf(join(place, 'node_modules', sdk.name))
  writeFileSync(
    join(place, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.base.json'),
      compilerOptions: {
        noEmit: true,
        composite: false,
        declaration: false,
        isolatedDeclarations: false,
        rewriteRelativeImportExtensions: false,
        // Old releases have errors in their declarations.
        skipLibCheck: true,
        typeRoots: [join(root, 'node_modules/@types')],
        paths: {
          [`@countersign/${sdk.backend}`]: [own(sdk.backend)],
          '@countersign/core': [own('core')],
          [sdk.name]: [types],
        },
      },
      files: [join(root, 'test/sdk', `${sdk.backend}.ts`)],
    }),
  )
  const tsc = join(root, 'node_modules/.bin/tsc')
  const { code, output } = await run(tsc, ['-p', place, '--pretty', 'false', '--listFiles'])
  if (code !== 0) return output.replaceAll(/^\/.*\n/gm, '')
  return output.includes(types) ? undefined : `${types} was not among what was compiled`
}

/**
 * Returns the path of a package's declarations, as its manifest specifies it for ES modules.
 *
 * @param {string} folder
 * @returns {string}
 */
function typesOf(folder) {
  /** @type {{ main?: string, types?: string, exports?: { '.'?: { import?: { types?: string } } } }} */
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const beside = manifest.main?.replace(/\.js$/, '.d.ts')
  const types = manifest.exports?.['.']?.import?.types ?? manifest.types ?? beside
  if (types === undefined) throw new Error(`${folder} has no types`)
  return join(folder, types)
}
