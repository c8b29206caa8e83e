import { run } from './child.mjs'
import { findProgram } from './find-program.mjs'

const names = ['python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3', 'python', 'py']

const question = 'import sys, venv, ensurepip; sys.exit(0 if sys.version_info >= (3, 10) else 3)'

/**
 * A Python of 3.10 or later that can make virtual environments.
 *
 * @returns {Promise<string | undefined>}
 */
export async function findPython() {
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
export function pythonAdvice() {
  if (findProgram('brew') !== undefined) return 'brew install python'
  if (findProgram('dnf') !== undefined) return 'sudo dnf install python3'
  return 'apt-get install python3 python3-venv, or python.org'
}
