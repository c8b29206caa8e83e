import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { output } from '../support/run.js'

/**
 * Runs a program and returns the packages of node_modules from which it loaded code, at start or on demand.
 * V8's coverage report names every script that was loaded, in whatever way.
 *
 * @param {string} folder
 * @param {string} file
 * @returns {Promise<string[]>} names, sorted
 */
export async function loadedPackages(folder, file) {
  const coverage = mkdtempSync(join(folder, 'coverage-'))
  await output(process.execPath, [file], { cwd: folder, env: { NODE_V8_COVERAGE: coverage } })
  const urls = readdirSync(coverage).flatMap((name) =>
    JSON.parse(readFileSync(join(coverage, name), 'utf8')).result.map(
      (/** @type {{ url: string }} */ { url }) => url,
    ),
  )
  const names = urls.map((url) => /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1])
  return [...new Set(names)].filter((name) => name !== undefined).sort()
}
