import { checks } from '../checks/index.mjs'
import { LaneReport } from '../lib/lane-report.mjs'

/** Runs every check of `npm run check` and counts them. */
export async function checkLane() {
  const report = new LaneReport()
  for (const { name, run } of checks()) await report.check(name, run)
  return report.counts
}
