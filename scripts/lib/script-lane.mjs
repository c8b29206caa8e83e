import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { missing, nothing, withFailure } from './counts.mjs'
import { prepared } from './prepare.mjs'
import { cache, root } from './root.mjs'

/**
 * A lane that is a script of its own. The script finds in `COUNTERSIGN_LANE_REPORT` the path of the
 * JSON file it has to write: `{ passed, failed, skipped, missing?, notes? }`, see `Counts`.
 *
 * @param {string} name
 * @param {{ script: string, nodeOptions?: string[], timeoutSeconds: number }} options `script` is relative to the
 *   repository
 * @returns {() => Promise<import('./counts.mjs').Counts>}
 */
export function scriptLane(name, { script, nodeOptions = [], timeoutSeconds }) {
  return async () => {
    if (!existsSync(join(root, script))) return missing(`${script} does not exist`)
    const folder = join(cache, 'reports')
    const file = join(folder, `${name}.json`)
    mkdirSync(folder, { recursive: true })
    rmSync(file, { force: true })
    const outcome = await run(process.execPath, [...nodeOptions, join(root, script)], {
      env: { ...prepared, COUNTERSIGN_LANE_REPORT: file },
      timeoutSeconds,
    })
    if (outcome.timedOut)
      return withFailure(readReport(file), `not finished after ${timeoutSeconds} s`)
    const counts = readReport(file)
    if (outcome.code !== 0 && counts.failed === 0) {
      return withFailure(counts, `${script} ended with exit code ${outcome.code}`)
    }
    return counts
  }
}

/**
 * @param {string} file
 * @returns {import('./counts.mjs').Counts}
 */
function readReport(file) {
  if (!existsSync(file)) return withFailure(nothing(), 'no report was written')
  const report = JSON.parse(readFileSync(file, 'utf8'))
  const numbers = [report.passed, report.failed, report.skipped]
  if (!numbers.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    return withFailure(nothing(), 'the report does not hold passed, failed and skipped as numbers')
  }
  if (report.missing === undefined && numbers.every((n) => n === 0)) {
    return withFailure(nothing(), 'the report counts nothing at all')
  }
  return report
}
