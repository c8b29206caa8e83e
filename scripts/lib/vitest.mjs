import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { nothing, withFailure } from './counts.mjs'
import { cache } from './root.mjs'
import { tool } from './tool.mjs'

/**
 * @typedef {object} VitestReport
 * @property {{ name: string, status: string, assertionResults: { fullName: string, status: string }[] }[]} testResults
 */

/**
 * Counts the tests of vitest's JSON report. A file that fails without a failing test (it does not
 * load, or a hook threw) is one failure.
 *
 * @param {VitestReport} report
 * @returns {import('./counts.mjs').Counts}
 */
export function countVitest(report) {
  let counts = nothing()
  for (const file of report.testResults) {
    const failed = file.assertionResults.filter(({ status }) => status === 'failed')
    for (const { fullName, status } of file.assertionResults) {
      if (status === 'passed') counts.passed++
      else if (status === 'failed') counts = withFailure(counts, `failed: ${fullName}`)
      else {
        counts.skipped++
        counts.notes = [...(counts.notes ?? []), `skipped: ${fullName}`]
      }
    }
    if (file.status === 'failed' && failed.length === 0) {
      counts = withFailure(counts, `failed to run: ${file.name}`)
    }
  }
  return counts
}

/**
 * Runs vitest, its output shown as it comes.
 *
 * @param {string} label names the report's file
 * @param {readonly string[]} args
 * @param {{ node?: string, env?: Record<string, string>, timeoutSeconds: number }} options
 * @returns {Promise<import('./counts.mjs').Counts>}
 */
export async function vitest(label, args, { timeoutSeconds, ...options }) {
  const folder = join(cache, 'reports')
  const file = join(folder, `${label}.vitest.json`)
  mkdirSync(folder, { recursive: true })
  rmSync(file, { force: true })
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const outcome = await tool('vitest', ['run', ...args, ...reporters], {
    ...options,
    timeoutSeconds,
  })
  const counts = existsSync(file) ? countVitest(JSON.parse(readFileSync(file, 'utf8'))) : nothing()
  if (outcome.timedOut) return withFailure(counts, `not finished after ${timeoutSeconds} s`)
  if (outcome.code !== 0 && counts.failed === 0) {
    return withFailure(counts, `vitest ended with exit code ${outcome.code}`)
  }
  return counts
}
