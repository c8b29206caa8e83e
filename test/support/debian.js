// @ts-check
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { buildAddon, runSync } from '../../scripts/prepare.mjs'
import { findModule, findSoftHsm } from './softhsm.js'

/**
 * Finds a program of this name on the PATH.
 *
 * @param {string} name
 * @returns {string | undefined}
 */
export function findProgram(name) {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/**
 * Installs packages where no confirmation is needed: as root on Debian and its derivatives.
 *
 * @param {readonly string[]} packages
 */
export function aptInstall(packages) {
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) return
  console.log(`Installing ${packages.join(', ')} by apt …`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  runSync(['apt-get', 'update', '-q'], { env, capture: true })
  runSync(['apt-get', 'install', '-y', '--no-install-recommends', ...packages], { env })
}

const pkcs11Packages = ['softhsm2', 'opensc', 'p11-kit', 'p11-kit-modules', 'gcc', 'libc6-dev']

/**
 * Installs what the tests with SoftHSM need, or returns what is missing.
 *
 * @returns {string | undefined}
 */
export function pkcs11Missing() {
  if (lacking().length > 0) aptInstall(pkcs11Packages)
  const absent = lacking()
  if (absent.length === 0) return buildAddon()
  const advice = findProgram('dnf')
    ? 'sudo dnf install softhsm opensc p11-kit p11-kit-server gcc'
    : findProgram('brew')
      ? 'brew install softhsm opensc p11-kit'
      : `sudo apt-get install ${pkcs11Packages.join(' ')}`
  return `${absent.join(', ')} not found; install with: ${advice}`
}

function lacking() {
  const programs = ['softhsm2-util', 'pkcs11-tool', 'p11-kit', 'cc']
  return [
    ...(findSoftHsm() === undefined ? ['libsofthsm2.so'] : []),
    ...(findModule('p11-kit-client.so') === undefined ? ['p11-kit-client.so'] : []),
    ...programs.filter((name) => findProgram(name) === undefined),
  ]
}
