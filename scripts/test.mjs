import { parseArgs } from 'node:util'
import { createVitest } from 'vitest/node'
import { findProgram, pkcs11Missing } from '../test/support/debian.js'
import { fastMcp, mcpV1, ministack } from '../test/support/python.js'
import { Failure, prepared } from './prepare.mjs'
import { watchdog } from './watchdog.mjs'

/**
 * A lane of `npm test`: the vitest project of the same name.
 *
 * @typedef {object} Lane
 * @property {string} about one line for `--help`
 * @property {() => string | undefined | Promise<string | undefined>} [missing] installs what the lane needs, or returns
 *   why that is not possible here
 * @property {boolean} [onRequest] runs only under CI or on request, because it takes long or downloads much
 */

/** @type {Record<string, Lane>} */
const lanes = {
  check: { about: 'format, lint, import cycles, types, unused code, workflows, packaging' },
  unit: { about: 'the tests of packages/ and test/' },
  wycheproof: {
    about: 'ECDSA vectors, from the folder COUNTERSIGN_WYCHEPROOF names',
    missing: () =>
      process.env['COUNTERSIGN_WYCHEPROOF']
        ? undefined
        : 'COUNTERSIGN_WYCHEPROOF does not name the folder of its ECDSA files',
  },
  pkcs11: { about: 'keys on SoftHSM, directly and through p11-kit', missing: pkcs11Missing },
  ministack: { about: 'keys in MiniStack, an independent AWS KMS', missing: ministack.install },
  conformance: { about: 'the MCP conformance suite' },
  hosts: {
    about: 'MCP clients and servers of others, through countersign proxy',
    missing: () => pkcs11Missing() ?? mcpV1.install() ?? fastMcp.install(),
  },
  languages: {
    about: 'the programs of docs/agent.md in Python, Go and for curl',
    missing: () =>
      ['go', 'curl']
        .filter((name) => findProgram(name) === undefined)
        .map(
          (name) =>
            `${name} not found; install with: apt-get install ${name === 'go' ? 'golang' : name}`,
        )
        .at(0) ?? fastMcp.install(),
  },
  consumer: { about: 'the packed packages in a fresh project, with plain npm' },
  docs: { about: 'what the documentation says to install and to run, with plain npm' },
  demo: { about: 'npm run demo' },
  examples: { about: 'everything in examples/' },
  'sdk-versions': {
    about: 'the cloud backends with the oldest SDKs that they promise to work with',
    onRequest: true,
  },
  matrix: {
    about: "the packages' tests and the demo on Node.js 22, 24 and 26",
    onRequest: true,
  },
}

/**
 * `npm test`: runs every lane, and prints a table and, as the last line, the sums.
 *
 * @param {string[]} args
 * @returns {Promise<number>} exit code
 */
export async function test(args) {
  const { help, lane: named, matrix } = options(args)
  if (help) {
    console.log(helpText())
    return 0
  }
  const unknown = named.find((name) => !(name in lanes))
  if (unknown !== undefined) {
    throw new Failure(`There is no lane "${unknown}". There are: ${Object.keys(lanes).join(', ')}.`)
  }
  const strict = !['', '0', 'false'].includes(process.env['CI'] ?? '')
  const chosen = named.length > 0 ? named : Object.keys(lanes)
  /** @type {Map<string, Row>} */
  const rows = new Map()
  for (const name of chosen) {
    const { missing, onRequest } = lanes[name] ?? {}
    const asked = strict || named.length > 0 || (matrix && name === 'matrix')
    const reason =
      onRequest && !asked ? `runs under CI=true, or with --lane ${name}` : await missing?.()
    rows.set(name, { ...emptyRow(), missing: reason })
  }
  const project = chosen.filter((name) => rows.get(name)?.missing === undefined)
  if (project.length === 0) return summary(rows, strict)
  Object.assign(process.env, prepared)
  const reporter = watchdog()
  const run = { run: true, watch: false, project, reporters: ['default', reporter] }
  const vitest = await createVitest('test', run)
  await vitest.start()
  const { ended } = reporter
  if (ended.size > 0) {
    const files = [...ended.values()].map(({ project, moduleId }) =>
      project.createSpecification(moduleId),
    )
    for (const [name, { project, moduleId }] of ended) {
      rows.get(project.name)?.notes.push(`ran again, since it did not end: ${moduleId}`)
      ended.delete(name)
    }
    await vitest.runTestSpecifications(files)
  }
  count(vitest, rows, strict)
  // By `exit`, so that a handle which a dependency leaves open does not keep the process running.
  process.exit(summary(rows, strict))
}

/** @typedef {{ passed: number, failed: number, skipped: number, seconds: number, notes: string[], missing: string | undefined }} Row */

/** @returns {Row} */
const emptyRow = () => ({
  passed: 0,
  failed: 0,
  skipped: 0,
  seconds: 0,
  notes: [],
  missing: undefined,
})

/**
 * Adds the results of vitest to the rows of its projects. A file that fails without a failing test (it does not load, or
 * a hook threw) counts as one failure, and so does an error outside of all tests.
 *
 * @param {import('vitest/node').Vitest} vitest
 * @param {ReadonlyMap<string, Row>} rows
 * @param {boolean} strict whether a missing service counts as a failure
 */
function count({ state }, rows, strict) {
  for (const module of state.getTestModules()) {
    const row = rows.get(module.project.name)
    if (row === undefined) continue
    const before = row.failed
    for (const { fullName, result } of [...module.children.allTests()].map((test) => ({
      fullName: test.fullName,
      result: test.result(),
    }))) {
      const note = 'note' in result && result.note ? `: ${result.note}` : ''
      const missing = note.startsWith(': missing')
      if (result.state === 'passed') row.passed++
      else if (result.state === 'failed' || (missing && strict)) {
        row.failed++
        row.notes.push(`failed: ${fullName}${note}`)
      } else {
        row.skipped++
        row.notes.push(`skipped: ${fullName}${note}`)
      }
    }
    const { collectDuration, duration } = module.diagnostic()
    row.seconds += (collectDuration + duration) / 1000
    if (module.state() === 'failed' && row.failed === before) {
      row.failed++
      row.notes.push(`failed to run: ${module.moduleId}`)
    }
  }
  const [first] = rows.values()
  for (const error of state.getUnhandledErrors()) {
    if (first === undefined) continue
    first.failed++
    first.notes.push(`error outside of all tests: ${/** @type {Error} */ (error).message}`)
  }
  for (const [name, row] of rows) {
    if (row.missing !== undefined || row.passed + row.failed + row.skipped > 0) continue
    row.failed++
    row.notes.push(`the lane ${name} has no test`)
  }
}

/**
 * @param {ReadonlyMap<string, Row>} rows
 * @param {boolean} strict
 */
function summary(rows, strict) {
  const sum = emptyRow()
  const table = [['lane', 'passed', 'failed', 'skipped', 'time', '']]
  for (const [name, row] of rows) {
    if (row.missing !== undefined) row[strict ? 'failed' : 'skipped']++
    for (const state of /** @type {const} */ (['passed', 'failed', 'skipped'])) {
      sum[state] += row[state]
    }
    const missing = row.missing === undefined ? '' : `missing: ${row.missing}`
    const counts = [row.passed, row.failed, row.skipped].map(String)
    table.push([name, ...counts, `${row.seconds.toFixed(1)} s`, missing])
  }
  const widths = [0, 1, 2, 3, 4].map((i) =>
    Math.max(...table.map((cells) => cells[i]?.length ?? 0)),
  )
  const line = (/** @type {string[]} */ [name = '', ...cells]) =>
    [name.padEnd(widths[0] ?? 0), ...cells.map((cell, i) => cell.padStart(widths[i + 1] ?? 0))]
      .join('  ')
      .trimEnd()
  console.log(`\n${table.map(line).join('\n')}`)
  for (const [name, { notes }] of rows) {
    if (notes.length === 0) continue
    const more = notes.length > 20 ? [`and ${notes.length - 20} more`] : []
    console.log([`\n${name}`, ...notes.slice(0, 20), ...more].join('\n  '))
  }
  console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`)
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
    throw new Failure(`${/** @type {Error} */ (error).message}\n\n${helpText()}`)
  }
}

const helpText = () =>
  `npm test [-- options]      installs, builds, and runs every lane

  --lane NAME   only this lane; may be repeated
  --matrix      also the matrix lane, which otherwise runs only under CI=true
  --help        print this help

Lanes:
${Object.entries(lanes)
  .map(([name, { about }]) => `  ${name.padEnd(12)}  ${about}`)
  .join('\n')}

A lane whose service is missing is skipped and says why; under CI=true it fails.`
