import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from './failure.mjs'
import { npm } from './npm.mjs'
import { cache } from './root.mjs'
import { say } from './terminal.mjs'

/** The release for Node 22 and later, which an installation on Node 20 stops at. */
const release = '@google-cloud/kms@6.3.0'

/**
 * The entry point of the newer major of Google's SDK, fetched from npm into `.cache` when it is not there yet.
 *
 * @returns {Promise<string>}
 */
export async function newerGcpKmsSdk() {
  const place = join(cache, 'gcp-kms-sdk', release.replaceAll('/', '-'))
  if (!existsSync(place)) await fetchInto(place)
  return join(place, 'node_modules/@google-cloud/kms/build/src/index.js')
}

/** @param {string} place */
async function fetchInto(place) {
  say(`Fetching ${release} from npm (some 40 MB unpacked, once) …`)
  const home = join(place, '..')
  mkdirSync(home, { recursive: true })
  const temporary = mkdtempSync(join(home, 'fetch-'))
  try {
    const options = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts']
    const { code, output } = await npm(
      ['install', ...options, '--engine-strict=false', '--prefix', temporary, release],
      { cwd: temporary, output: 'capture' },
    )
    if (code !== 0) throw new Failure(`${output}\nnpm could not fetch ${release}.`)
    // Complete, or not there at all.
    renameSync(temporary, place)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}
