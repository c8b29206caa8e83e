// @ts-check
import { existsSync, mkdirSync, mkdtempSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fetchPackage } from '../../scripts/prepare.mjs'
import { cache } from '../../scripts/workspace.mjs'

/**
 * Returns the folder that has a release in its `node_modules`. npm fetches it into `.cache` the first time. Nothing else
 * of the repository depends on it.
 *
 * @param {{ name: string, version: string }} release
 * @returns {string}
 */
export function npmRelease({ name, version }) {
  const release = `${name}@${version}`
  const place = join(cache, 'sdk', release.replaceAll('/', '-'))
  if (existsSync(place)) return place
  console.log(`Fetching ${release} from npm (50 to 120 MB unpacked, once) …`)
  mkdirSync(join(place, '..'), { recursive: true })
  const temporary = mkdtempSync(join(place, '../fetch-'))
  // Optional dependencies and peers of old releases are for other platforms than this.
  const left = ['--omit=optional', '--omit=peer', '--ignore-scripts', '--engine-strict=false']
  fetchPackage(temporary, release, left)
  // Renamed when it is complete, so that no partial release is used.
  renameSync(temporary, place)
  return place
}
