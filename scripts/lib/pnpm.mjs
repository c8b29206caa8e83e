import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { npm } from './npm.mjs'
import { cache, root } from './root.mjs'
import { saySlow } from './terminal.mjs'
import { readManifest } from './workspace.mjs'

/** The version that package.json's `packageManager` names. */
export const pnpmVersion = readManifest(root).packageManager?.replace('pnpm@', '') ?? ''

/**
 * The folder of a version of pnpm, which npm fetches into `.cache` the first time.
 *
 * @param {string} version
 */
async function pnpmFolder(version) {
  const home = join(cache, 'pnpm', version)
  const folder = join(home, 'node_modules/pnpm')
  if (existsSync(folder)) return folder
  mkdirSync(home, { recursive: true })
  const { code, output } = await saySlow(`Fetching pnpm ${version}`, () =>
    npm(['install', '--no-save', '--no-audit', '--no-fund', '--prefix', home, `pnpm@${version}`], {
      cwd: home,
      output: 'capture',
    }),
  )
  if (code !== 0) throw new Failure(`${output}\nnpm could not fetch pnpm ${version}.`)
  return folder
}

/**
 * The command that runs a version of pnpm: a program of Node up to version 11, one of its own from version 12 on.
 *
 * @param {string} version
 */
export async function pnpmCommand(version) {
  const folder = await pnpmFolder(version)
  const script = join(folder, 'bin/pnpm.cjs')
  return existsSync(script) ? [process.execPath, script] : [join(folder, 'pnpm')]
}

/** The node-gyp that comes with pnpm, as the file to run with Node. */
export const nodeGyp = async () =>
  join(await pnpmFolder(pnpmVersion), 'dist/node_modules/node-gyp/bin/node-gyp.js')

/**
 * Runs exactly the pnpm that package.json names.
 *
 * @param {readonly string[]} args
 * @param {import('./child.mjs').Options} [options]
 */
export async function pnpm(args, options = {}) {
  const [program = '', ...rest] = await pnpmCommand(pnpmVersion)
  return run(program, [...rest, ...args], options)
}
