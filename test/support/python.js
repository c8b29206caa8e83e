// @ts-check
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runSync } from '../../scripts/prepare.mjs'
import { cache, root } from '../../scripts/workspace.mjs'
import { aptInstall, findProgram } from './debian.js'

const names = ['python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3', 'python', 'py']

const question = 'import sys, venv, ensurepip; sys.exit(0 if sys.version_info >= (3, 10) else 3)'

/** Finds a Python of 3.10 or later that can make virtual environments. */
const findPython = () =>
  names
    .map((name) => findProgram(process.platform === 'win32' ? `${name}.exe` : name))
    .find((program) => program && runSync([program, '-c', question], { capture: true }).code === 0)

/** Returns the command that installs such a Python here. */
function pythonAdvice() {
  if (findProgram('brew') !== undefined) return 'brew install python'
  if (findProgram('dnf') !== undefined) return 'sudo dnf install python3'
  return 'apt-get install python3 python3-venv, or python.org'
}

const inEnvironment = process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python'

/**
 * Describes a virtual environment in `.cache` with packages from PyPI.
 *
 * @param {string} name of its folder
 * @param {string} requirements path of its requirements.txt, relative to the repository
 */
export function pythonEnvironment(name, requirements) {
  const file = join(root, requirements)
  const fingerprint = createHash('sha256').update(readFileSync(file)).digest('hex')
  const place = join(cache, name, fingerprint.slice(0, 16))

  /** Returns its Python if it is installed. */
  function python() {
    const program = join(place, inEnvironment)
    return existsSync(program) ? program : undefined
  }

  /**
   * Installs it, unless it is installed.
   *
   * @returns {string | undefined} why it cannot be installed here
   */
  function install() {
    if (python() !== undefined) return undefined
    if (findPython() === undefined) aptInstall(['python3', 'python3-venv'])
    const found = findPython()
    if (found === undefined) {
      return `Python 3.10 or later with venv not found; install with: ${pythonAdvice()}`
    }
    console.log(
      `Fetching the packages of ${requirements} from PyPI (about 100 MB unpacked, once) …`,
    )
    mkdirSync(dirname(place), { recursive: true })
    const temporary = mkdtempSync(join(dirname(place), 'fetch-'))
    try {
      const environment = join(temporary, 'environment')
      const made = runSync([found, '-m', 'venv', environment])
      if (made.code !== 0) return `${found} -m venv failed; install with: ${pythonAdvice()}`
      const pip = [join(environment, inEnvironment), '-m', 'pip', 'install', '--quiet']
      const options = ['--disable-pip-version-check', '--no-input', '--only-binary', ':all:']
      const installed = runSync([...pip, ...options, '--requirement', file])
      if (installed.code !== 0) return `pip could not fetch ${requirements}; see above`
      // Renamed when it is complete, so that no partial environment is used.
      if (!existsSync(place)) renameSync(environment, place)
      return undefined
    } finally {
      rmSync(temporary, { recursive: true, force: true })
    }
  }

  return { python, install }
}

/** The environment that runs MiniStack as `-m ministack`. */
export const ministack = pythonEnvironment('ministack', 'test/servers/ministack-requirements.txt')

/** The environment of a client with version 1 of the MCP SDK for Python. */
export const mcpV1 = pythonEnvironment('mcp-v1', 'test/hosts/mcp-v1-requirements.txt')

/** The environment of FastMCP, which has version 2 of the MCP SDK for Python. */
export const fastMcp = pythonEnvironment('fastmcp', 'test/hosts/fastmcp-requirements.txt')
