// @ts-check
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from './run.js'

/**
 * Runs a script of checks, and makes a test from each check. vitest has no timeout for this, since it runs before the
 * tests.
 *
 * @param {string} script relative to the repository
 * @param {{ nodeOptions?: readonly string[], timeoutSeconds?: number }} [options]
 */
export async function scriptTests(script, { nodeOptions = [], timeoutSeconds = 600 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-report-'))
  const file = join(folder, 'report.json')
  const { code, output, timedOut } = await run(process.execPath, [...nodeOptions, script], {
    env: { COUNTERSIGN_LANE_REPORT: file },
    timeoutSeconds,
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
  test(`${script} ends with exit code 0, within ${timeoutSeconds} seconds`, () => {
    expect(timedOut, output).toBe(false)
    const failed = checks.some(({ failure }) => failure !== undefined)
    expect(code, output).toBe(failed ? 1 : 0)
    expect(checks.length, output).toBeGreaterThan(0)
  })
}
