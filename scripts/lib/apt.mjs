import { run } from './child.mjs'
import { findProgram } from './find-program.mjs'
import { say } from './terminal.mjs'

/** Whether packages may be installed here without asking: on Debian and its kin, by root. */
const mayInstall = () => process.getuid?.() === 0 && findProgram('apt-get') !== undefined

/**
 * The command that installs packages on Debian and its kin.
 *
 * @param {readonly string[]} packages
 */
export const aptCommand = (packages) =>
  `${process.getuid?.() === 0 ? '' : 'sudo '}apt-get install -y --no-install-recommends ${packages.join(' ')}`

/**
 * Installs packages where that may be done without asking, and else does nothing.
 *
 * @param {readonly string[]} packages
 * @param {string} what  for people
 */
export async function aptInstall(packages, what) {
  if (!mayInstall()) return
  say(`Installing ${what} by apt …`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-q'], { env, timeoutSeconds: 300 })
  const [program = '', ...args] = aptCommand(packages).split(' ')
  await run(program, args, { env, timeoutSeconds: 600 })
}
