import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { npm } from './npm.mjs'
import { cache, root } from './root.mjs'
import { saySlow } from './terminal.mjs'
import { readManifest } from './workspace.mjs'

/** The version that package.json's `packageManager` names. */
export const pnpmVersion = readManifest(root).packageManager?.replace('pnpm@', '') ?? ''

/** @returns {Promise<string>} the file to run with Node */
async function pnpmCli() {
  const home = join(cache, 'pnpm', pnpmVersion)
  const cli = join(home, 'node_modules/pnpm/bin/pnpm.cjs')
  if (existsSync(cli)) return cli
  mkdirSync(home, { recursive: true })
  const { code, output } = await saySlow(`Fetching pnpm ${pnpmVersion}`, () =>
    npm(
      ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', home, `pnpm@${pnpmVersion}`],
      {
        cwd: home,
        output: 'capture',
      },
    ),
  )
  if (code !== 0) throw new Failure(`${output}\nnpm could not fetch pnpm ${pnpmVersion}.`)
  return cli
}

/** The node-gyp that comes with pnpm, as the file to run with Node. */
export const nodeGyp = async () =>
  join(dirname(await pnpmCli()), '../dist/node_modules/node-gyp/bin/node-gyp.js')

/**
 * Runs exactly the pnpm that package.json names; npm fetches it into `.cache` the first time.
 *
 * @param {readonly string[]} args
 * @param {import('./child.mjs').Options} [options]
 */
export async function pnpm(args, options = {}) {
  return run(process.execPath, [await pnpmCli(), ...args], options)
}
