import { parseArgs } from 'node:util'
import { lanes } from '../lanes/index.mjs'
import { add, missing, nothing, withFailure } from '../lib/counts.mjs'
import { Failure } from '../lib/failure.mjs'
import { prepare } from '../lib/prepare.mjs'
import { printSummary, settle, tally } from '../lib/summary.mjs'
import { colour, heading, seconds } from '../lib/terminal.mjs'

/** `npm test`: installs, builds and runs every lane. */
export async function main(/** @type {string[]} */ args) {
  const values = options(args)
  if (values.help) {
    console.log(help())
    return 0
  }
  const strict = !['', '0', 'false'].includes(process.env['CI'] ?? '')
  const chosen = choose(values.lane)
  const rows = []
  try {
    await prepare()
    for (const lane of chosen) {
      heading(lane.name)
      const asked = strict || values.lane.length > 0 || (values.matrix && lane.name === 'matrix')
      const row = await runLane(asked || !lane.onRequest ? lane : notRequested(lane), strict)
      rows.push(row)
      const style = row.counts.failed > 0 ? 'red' : 'green'
      console.log(
        `${colour(style, `${lane.name}: ${tally(row.counts)}`)}  ${seconds(row.milliseconds)}`,
      )
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.error(error.message)
    rows.push({ name: 'prepare', counts: { ...nothing(), failed: 1 }, milliseconds: 0 })
  }
  const sum = add(rows.map(({ counts }) => counts))
  printSummary(rows, sum)
  return sum.failed > 0 ? 1 : 0
}

/** @param {string[]} args */
function options(args) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        lane: { type: 'string', multiple: true, default: [] },
        matrix: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new Failure(`${error instanceof Error ? error.message : error}\n\n${help()}`)
  }
}

/** @param {readonly string[]} names none means all */
function choose(names) {
  const unknown = names.find((name) => !lanes.some((lane) => lane.name === name))
  if (unknown !== undefined) {
    throw new Failure(
      `There is no lane "${unknown}". There are: ${lanes.map(({ name }) => name).join(', ')}.`,
    )
  }
  return lanes.filter(({ name }) => names.length === 0 || names.includes(name))
}

/**
 * @param {import('../lanes/index.mjs').Lane} lane
 * @returns {import('../lanes/index.mjs').Lane}
 */
const notRequested = (lane) => ({
  ...lane,
  run: async () => missing(`runs under CI=true, or with --lane ${lane.name}`),
})

/**
 * @param {import('../lanes/index.mjs').Lane} lane
 * @param {boolean} strict
 */
async function runLane(lane, strict) {
  const started = performance.now()
  let counts
  try {
    counts = await lane.run()
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error)
    counts = withFailure(nothing(), 'the lane broke off; see above')
  }
  if (counts.missing !== undefined) console.log(`missing: ${counts.missing}`)
  return {
    name: lane.name,
    counts: settle(counts, strict),
    milliseconds: performance.now() - started,
  }
}

function help() {
  const width = Math.max(...lanes.map(({ name }) => name.length))
  return [
    'npm test [-- options]      installs, builds, and runs every lane',
    '',
    '  --lane NAME   only this lane; may be repeated',
    '  --matrix      the matrix lane too, which otherwise runs only under CI=true',
    '  --help        this',
    '',
    'Lanes:',
    ...lanes.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`),
    '',
    'A lane whose service is missing is skipped and says why; under CI=true it fails.',
  ].join('\n')
}
