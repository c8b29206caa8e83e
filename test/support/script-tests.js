// @ts-check
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from './run.js'

/**
 * Runs a script of checks, and makes a test from each check.
 *
 * @param {string} script relative to the repository
 * @param {readonly string[]} [nodeOptions]
 */
export async function scriptTests(script, nodeOptions = []) {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-report-'))
  const file = join(folder, 'report.json')
  const { code, output } = await run(process.execPath, [...nodeOptions, script], {
    env: { COUNTERSIGN_LANE_REPORT: file },
  })
  /** @type {import('./lane-report.js').Check[]} */
  const checks = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : []
  rmSync(folder, { recursive: true, force: true })
  for (const { claim, failure, skipped } of checks) {
    test(claim, ({ skip }) => {
      if (skipped !== undefined) skip(`missing: ${skipped}`)
      expect(failure).toBeUndefined()
    })
  }
  test(`${script} ends with exit code 0`, () => {
    const failed = checks.some(({ failure }) => failure !== undefined)
    expect(code, output).toBe(failed ? 1 : 0)
    expect(checks.length, output).toBeGreaterThan(0)
  })
}
