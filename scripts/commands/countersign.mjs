import { spawnSync } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { prepare } from '../lib/prepare.mjs'
import { root } from '../lib/root.mjs'

/** `npm run countersign -- …`: installs, builds, and runs the command in the folder of the caller. */
export async function main(/** @type {string[]} */ args) {
  await prepare()
  const program = join(root, 'packages/cli/dist/bin.js')
  // The command may ask for a PIN, so it gets the terminal.
  const { status, signal } = spawnSync(process.execPath, [program, ...args], {
    cwd: process.env['INIT_CWD'] ?? process.cwd(),
    stdio: 'inherit',
  })
  return status ?? 128 + (signal === null ? 0 : constants.signals[signal])
}
