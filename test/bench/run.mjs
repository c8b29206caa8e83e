// @ts-check
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { heading, rowText } from './table.js'

/** @import { Row } from './measure.js' */

/** @type {Record<string, () => Promise<{ run: () => AsyncGenerator<Row> }>>} */
const benches = {
  'client-assertion': () => import('./client-assertion.js'),
  'thread-pool': () => import('./thread-pool.js'),
  'token-request': () => import('./token-request.js'),
  'mcp-call': () => import('./mcp-call.js'),
  dpop: () => import('./dpop.js'),
  'cold-start': () => import('./cold-start.js'),
  memory: () => import('./memory.js'),
  'signature-checks': () => import('./signature-checks.js'),
  pkcs11: () => import('./pkcs11.js'),
  'pkcs11-sessions': () => import('./pkcs11-sessions.js'),
  agent: () => import('./agent.js'),
  proxy: () => import('./proxy.js'),
  clouds: () => import('./clouds.js'),
  'clouds-memory': () => import('./clouds-memory.js'),
  fleets: () => import('./fleets.js'),
}

const usage = `Usage: npm run bench -- [options]

Measures the packages as built, prints each row as soon as it is measured, and at the
end how many targets were missed and how long it took.

  --only NAME   one of: ${Object.keys(benches).join(', ')}; may be repeated
  --json FILE   also writes the rows to a file
  --strict      exit code 1 when a target is missed
  --help
`

/** @returns {Promise<number>} the exit code */
async function main() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      json: { type: 'string' },
      strict: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  const names = values.only ?? Object.keys(benches)
  const unknown = names.filter((name) => !Object.hasOwn(benches, name))
  if (unknown.length > 0) {
    process.stderr.write(`There is no bench ${unknown.join(', ')}.\n\n${usage}`)
    return 2
  }
  const { node, openssl } = process.versions
  const environment = { node, openssl, cpu: cpus()[0]?.model, cores: availableParallelism() }
  print(
    `Node.js ${node}, OpenSSL ${openssl}, ${environment.cpu}, ${environment.cores} cores\n\n${heading}`,
  )
  const start = performance.now()
  /** @type {Row[]} */
  const rows = []
  for (const name of names) {
    await runInChild(name, (row) => {
      rows.push(row)
      print(rowText(row))
    })
  }
  const seconds = Math.round((performance.now() - start) / 1000)
  const missed = rows.filter(({ met }) => met === false).length
  const targets = rows.filter(({ met }) => met !== undefined).length
  print(
    `\n${rows.length} rows, ${missed} of ${targets} targets missed, in ${Math.floor(seconds / 60)} min ${seconds % 60} s`,
  )
  if (values.json !== undefined) {
    // A program finds all members in every row.
    const json = JSON.stringify({ environment, seconds, rows }, (_name, value) => value ?? null, 2)
    writeFileSync(values.json, `${json}\n`)
  }
  return values.strict && missed > 0 ? 1 : 0
}

/** @param {string} text */
const print = (text) => process.stdout.write(`${text}\n`)

/**
 * Runs one bench in its own process, without the compiled code and the garbage of the others.
 *
 * @param {string} name
 * @param {(row: Row) => void} onRow
 */
async function runInChild(name, onRow) {
  const child = fork(fileURLToPath(import.meta.url), [], {
    // Node.js warns of listeners on a signal that many requests share, until it collects them.
    execArgv: ['--expose-gc', '--disable-warning=MaxListenersExceededWarning'],
    env: { ...process.env, [benchVariable]: name },
    serialization: 'advanced',
  })
  child.on('message', (row) => onRow(/** @type {Row} */ (row)))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`the bench ${name} ended with exit code ${code}`)
}

const benchVariable = 'COUNTERSIGN_BENCH'
const bench = benches[process.env[benchVariable] ?? '']
if (bench !== undefined && process.send !== undefined) {
  const { run } = await bench()
  for await (const row of run()) process.send(row)
  process.disconnect()
} else {
  process.exitCode = await main()
}
