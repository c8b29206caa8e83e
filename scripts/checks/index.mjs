import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Failure } from '../lib/failure.mjs'
import { packAll } from '../lib/pack.mjs'
import { cache, root } from '../lib/root.mjs'
import { tool } from '../lib/tool.mjs'
import { members, publishable } from '../lib/workspace.mjs'
import { dependencyTable, derOnDemand, imports } from './dependency-table.mjs'

/**
 * @typedef {object} Check
 * @property {string} name
 * @property {() => Promise<void> | void} run throws when the check fails
 */

/**
 * A check that is a tool's exit code; its output is shown when it fails.
 *
 * @param {string} name
 * @param {Parameters<typeof tool>[0]} program
 * @param {readonly string[] | (() => readonly string[])} args
 * @returns {Check}
 */
function toolCheck(name, program, args) {
  return {
    name,
    run: async () => {
      const list = typeof args === 'function' ? args() : args
      const { code, output } = await tool(program, list, { output: 'capture' })
      if (code !== 0) throw new Failure(output)
    },
  }
}

/** Every project there is, so that none escapes by missing from the root's references. */
const projects = () =>
  ['.', 'scripts', 'examples', ...members().map(({ path }) => path)]
    .map((path) => resolve(root, path))
    .filter((path) => existsSync(join(path, 'tsconfig.json')))

const packed = join(cache, 'packed')

/** @returns {Check[]} */
function packaging() {
  const pack = { name: 'pack', run: async () => void (await packAll(packed)) }
  const each = publishable().flatMap(({ manifest: { name } }) => {
    const tarball = join(packed, `${name.replace('@', '').replace('/', '-')}.tgz`)
    return [
      toolCheck(`publint ${name}`, 'publint', [tarball, '--strict']),
      toolCheck(`attw ${name}`, 'attw', [tarball, '--profile', 'esm-only']),
    ]
  })
  return [pack, ...each]
}

/**
 * All checks, in the order in which they run.
 *
 * @returns {Check[]}
 */
export const checks = () => [
  toolCheck('format', 'biome', ['format', '.']),
  toolCheck('lint', 'biome', ['check', '--formatter-enabled=false', '--error-on-warnings', '.']),
  toolCheck('types', 'tsc', () => ['-b', '--pretty', 'false', ...projects()]),
  toolCheck('unused code and dependencies', 'knip', ['--no-config-hints']),
  { name: 'dependency table', run: dependencyTable },
  { name: 'imports', run: imports },
  { name: 'DER on demand', run: derOnDemand },
  ...packaging(),
]
