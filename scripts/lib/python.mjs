import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { aptInstall } from './apt.mjs'
import { run } from './child.mjs'
import { findProgram } from './find-program.mjs'
import { cache, root } from './root.mjs'
import { say } from './terminal.mjs'

const names = ['python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3', 'python', 'py']

const question = 'import sys, venv, ensurepip; sys.exit(0 if sys.version_info >= (3, 10) else 3)'

/**
 * A Python of 3.10 or later that can make virtual environments.
 *
 * @returns {Promise<string | undefined>}
 */
async function findPython() {
  for (const name of names) {
    const suffix = process.platform === 'win32' ? '.exe' : ''
    const program = findProgram(`${name}${suffix}`)
    if (program === undefined) continue
    const { code } = await run(program, ['-c', question], { output: 'capture', timeoutSeconds: 30 })
    if (code === 0) return program
  }
  return undefined
}

/** What installs such a Python here. */
function pythonAdvice() {
  if (findProgram('brew') !== undefined) return 'brew install python'
  if (findProgram('dnf') !== undefined) return 'sudo dnf install python3'
  return 'apt-get install python3 python3-venv, or python.org'
}

const inEnvironment = process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python'

/**
 * A virtual environment in `.cache` with packages from PyPI.
 *
 * @param {string} name of its folder
 * @param {string} requirements path of its requirements.txt, relative to the repository
 */
export function pythonEnvironment(name, requirements) {
  const file = join(root, requirements)
  const fingerprint = createHash('sha256').update(readFileSync(file)).digest('hex')
  const place = join(cache, name, fingerprint.slice(0, 16))

  /** Its Python, when it is installed. */
  function python() {
    const program = join(place, inEnvironment)
    return existsSync(program) ? program : undefined
  }

  /**
   * Installs it, unless it is installed.
   *
   * @returns {Promise<string | undefined>} why it cannot be installed here
   */
  async function install() {
    if (python() !== undefined) return undefined
    if ((await findPython()) === undefined) await aptInstall(['python3', 'python3-venv'], 'Python')
    const found = await findPython()
    if (found === undefined) {
      return `Python 3.10 or later with venv not found; install with: ${pythonAdvice()}`
    }
    say(`Fetching the packages of ${requirements} from PyPI (some 100 MB unpacked, once) …`)
    mkdirSync(dirname(place), { recursive: true })
    const temporary = mkdtempSync(join(dirname(place), 'fetch-'))
    try {
      const environment = join(temporary, 'environment')
      const made = await run(found, ['-m', 'venv', environment], { timeoutSeconds: 120 })
      if (made.code !== 0) return `${found} -m venv failed; install with: ${pythonAdvice()}`
      const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input']
      const installed = await run(
        join(environment, inEnvironment),
        [...pip, '--only-binary', ':all:', '--requirement', file],
        { timeoutSeconds: 600 },
      )
      if (installed.code !== 0) return `pip could not fetch ${requirements}; see above`
      // Complete, or not there at all.
      if (!existsSync(place)) renameSync(environment, place)
      return undefined
    } finally {
      rmSync(temporary, { recursive: true, force: true })
    }
  }

  return { python, install }
}

/** What runs MiniStack as `-m ministack`. */
export const ministack = pythonEnvironment('ministack', 'test/servers/ministack-requirements.txt')
