import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { findP11KitClient } from '../../test/support/p11-kit.js'
import { findSoftHsm } from '../../test/support/softhsm.js'
import { run } from './child.mjs'
import { say } from './terminal.mjs'

const timeoutSeconds = 300

const debian = ['softhsm2', 'opensc', 'p11-kit', 'p11-kit-modules']

/**
 * Whether a command is there; what it says to this option is of no interest.
 *
 * @param {string} command
 */
const isThere = (command) =>
  spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined

/** What the tests of tokens need and this machine lacks. */
function missingPrograms() {
  /** @type {[string, boolean][]} */
  const needed = [
    ['SoftHSM', findSoftHsm() !== undefined && isThere('softhsm2-util')],
    ['OpenSC (pkcs11-tool)', isThere('pkcs11-tool')],
    ['p11-kit with p11-kit-client', findP11KitClient() !== undefined && isThere('p11-kit')],
    ['a C compiler (cc)', isThere('cc')],
  ]
  return needed.filter(([, there]) => !there).map(([name]) => name)
}

/** How this platform installs them, as far as it is one that we know. */
function remedy() {
  if (existsSync('/etc/debian_version')) {
    return `run "sudo apt-get install ${[...debian, 'gcc', 'libc6-dev'].join(' ')}"`
  }
  if (existsSync('/etc/fedora-release') || existsSync('/etc/redhat-release')) {
    return 'run "sudo dnf install softhsm opensc p11-kit p11-kit-server gcc"'
  }
  if (process.platform === 'darwin') return 'run "brew install softhsm opensc p11-kit"'
  return 'install them with the package manager of this system'
}

/** Installs them where nobody has to be asked for leave: on Debian and its kin, as root. */
async function installByApt() {
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0 || !isThere('apt-get')) return
  say(`Installing ${debian.join(', ')} with apt …`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-q'], { env, timeoutSeconds })
  await run('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...debian], {
    env,
    timeoutSeconds,
  })
}

/**
 * Finds or installs what the tests of tokens need.
 *
 * @returns {Promise<string | undefined>} what is missing all the same, and how to get it
 */
export async function prepareTokens() {
  if (process.platform === 'win32') return 'SoftHSM and p11-kit are not to be had on Windows'
  if (missingPrograms().length > 0) await installByApt()
  const missing = missingPrograms()
  return missing.length === 0 ? undefined : `not found: ${missing.join(', ')}; ${remedy()}`
}
