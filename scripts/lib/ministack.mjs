import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { aptInstall } from './apt.mjs'
import { run } from './child.mjs'
import { findPython, pythonAdvice } from './python.mjs'
import { cache, root } from './root.mjs'
import { say } from './terminal.mjs'

const requirements = join(root, 'test/servers/ministack-requirements.txt')
const fingerprint = createHash('sha256').update(readFileSync(requirements)).digest('hex')
const place = join(cache, 'ministack', fingerprint.slice(0, 16))
const inEnvironment = process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python'

/** The Python that runs MiniStack as `-m ministack`, when it is there. */
export function ministackPython() {
  const python = join(place, inEnvironment)
  return existsSync(python) ? python : undefined
}

/**
 * Puts MiniStack into a virtual environment in `.cache`, unless it is there.
 *
 * @returns {Promise<string | undefined>} why it cannot be done here
 */
export async function installMinistack() {
  if (ministackPython() !== undefined) return undefined
  if ((await findPython()) === undefined) await aptInstall(['python3', 'python3-venv'], 'Python')
  const python = await findPython()
  if (python === undefined) {
    return `Python 3.10 or later with venv not found; install with: ${pythonAdvice()}`
  }
  say('Fetching MiniStack and what it needs from PyPI (some 100 MB unpacked, once) …')
  mkdirSync(dirname(place), { recursive: true })
  const temporary = mkdtempSync(join(dirname(place), 'fetch-'))
  try {
    const environment = join(temporary, 'environment')
    const made = await run(python, ['-m', 'venv', environment], { timeoutSeconds: 120 })
    if (made.code !== 0) return `${python} -m venv failed; install with: ${pythonAdvice()}`
    const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input']
    const installed = await run(
      join(environment, inEnvironment),
      [...pip, '--only-binary', ':all:', '--requirement', requirements],
      { timeoutSeconds: 600 },
    )
    if (installed.code !== 0) return 'pip could not fetch MiniStack; see above'
    // Complete, or not there at all.
    if (!existsSync(place)) renameSync(environment, place)
    return undefined
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}
