import { build } from './build.mjs'
import { install } from './install.mjs'

/** Set for child processes of a command that has installed and built already. */
export const prepared = { COUNTERSIGN_PREPARED: '1' }

/** Installs and builds, each as far as needed. */
export async function prepare() {
  if (process.env['COUNTERSIGN_PREPARED'] === '1') return
  await install()
  await build()
}
