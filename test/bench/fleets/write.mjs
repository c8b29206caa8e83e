// @ts-check
import { readFileSync, writeFileSync } from 'node:fs'
import { simulate } from './fleet.js'
import { allOptions, cells, plotOf, withTables } from './page.js'

const page = new URL('../../../docs/fleets.md', import.meta.url)
const image = new URL('../../../docs/fleets.svg', import.meta.url)

/** @type {import('./page.js').Run[]} */
const runs = []
for (const options of allOptions()) {
  const run = { options, result: await simulate(options) }
  runs.push(run)
  process.stdout.write(`tokens of ${options.lifetimeSeconds} s: ${cells(run).join('  ')}\n`)
}
const text = withTables(readFileSync(page, 'utf8'), runs)
writeFileSync(page, text)
writeFileSync(image, plotOf(text))
