import { join } from 'node:path'
import { run } from './child.mjs'
import { root } from './root.mjs'

/** Where the tools of the workspace's devDependencies have their JavaScript entry. */
const entries = {
  attw: '@arethetypeswrong/cli/dist/index.js',
  biome: '@biomejs/biome/bin/biome',
  knip: 'knip/bin/knip.js',
  publint: 'publint/src/cli.js',
  tsc: 'typescript/bin/tsc',
  vitest: 'vitest/vitest.mjs',
}

/**
 * Runs a tool that the workspace has installed.
 *
 * @param {keyof typeof entries} name
 * @param {readonly string[]} args
 * @param {import('./child.mjs').Options & { node?: string }} [options] `node`: the binary to run it with
 */
export function tool(name, args, { node = process.execPath, ...options } = {}) {
  return run(node, [join(root, 'node_modules', entries[name]), ...args], options)
}
