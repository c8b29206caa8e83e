// @ts-check
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { table } from './table.js'

/** @import { Row } from './measure.js' */

/** @type {Record<string, () => Promise<{ run: () => Promise<Row[]> }>>} */
const benches = {
  'client-assertion': () => import('./client-assertion.js'),
  'thread-pool': () => import('./thread-pool.js'),
  'cold-start': () => import('./cold-start.js'),
  memory: () => import('./memory.js'),
  'signature-checks': () => import('./signature-checks.js'),
  pkcs11: () => import('./pkcs11.js'),
  'pkcs11-sessions': () => import('./pkcs11-sessions.js'),
  clouds: () => import('./clouds.js'),
  'clouds-memory': () => import('./clouds-memory.js'),
}

const usage = `Usage: npm run bench -- [options]

Measures the packages as built, and prints one line for each number.

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
  /** @type {Row[]} */
  const rows = []
  for (const name of names) {
    process.stderr.write(`measuring ${name} …\n`)
    rows.push(...(await inProcessOfItsOwn(name)))
  }
  const { node, openssl } = process.versions
  const environment = { node, openssl, cpu: cpus()[0]?.model, cores: availableParallelism() }
  process.stdout.write(
    `\nNode.js ${node}, OpenSSL ${openssl}, ${environment.cpu}, ${environment.cores} cores\n\n${table(rows)}\n`,
  )
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ environment, rows }, nullForNothing, 2)}\n`)
  }
  return values.strict && rows.some(({ met }) => met === false) ? 1 : 0
}

/** @type {(name: string, value: unknown) => unknown} every row has all members in a file as well */
const nullForNothing = (_name, value) => value ?? null

/**
 * Runs one bench where no other has left compiled code or garbage behind.
 *
 * @param {string} name
 * @returns {Promise<Row[]>}
 */
async function inProcessOfItsOwn(name) {
  const child = fork(fileURLToPath(import.meta.url), [], {
    execArgv: ['--expose-gc'],
    env: { ...process.env, [benchVariable]: name },
    serialization: 'advanced',
  })
  /** @type {Row[] | undefined} */
  let rows
  child.once('message', (message) => {
    rows = /** @type {Row[]} */ (message)
  })
  const [code] = await once(child, 'close')
  if (code !== 0 || rows === undefined) throw new Error(`the bench ${name} failed`)
  return rows
}

const benchVariable = 'COUNTERSIGN_BENCH'
const bench = benches[process.env[benchVariable] ?? '']
if (bench !== undefined && process.send !== undefined) {
  const { run } = await bench()
  process.send(await run())
  process.disconnect()
} else {
  process.exitCode = await main()
}
