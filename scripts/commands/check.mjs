import { checkLane } from '../lanes/check.mjs'
import { prepare } from '../lib/prepare.mjs'
import { tally } from '../lib/summary.mjs'

/** `npm run check`: format, lint, types, unused code and packaging. */
export async function main() {
  await prepare()
  const counts = await checkLane()
  console.log(`\n${tally(counts)}`)
  return counts.failed > 0 ? 1 : 0
}
