// @ts-check
// An agent as a process of its own: `node agent.mjs STORY`. It is told the options of its signer as a line of JSON, says
// what it has seen in such lines, and ends as the story wants it.
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pkcs11Signer } from '@countersign/pkcs11'

const input = Buffer.from('what is signed here')

/** @param {unknown} line */
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const lines = createInterface({ input: process.stdin })

/** The next line that the test sends. */
async function told() {
  const [line] = await once(lines, 'line')
  return line
}

const options = JSON.parse(await told())

/** @param {unknown} outcome */
const codeOf = (outcome) => /** @type {{ code?: string }} */ (outcome)?.code

/** For a while, how long files take to be read and by how much timers are late, in milliseconds. */
async function look() {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let slowestRead = 0
  for (let n = 0; n < 20; n++) {
    const before = performance.now()
    await readFile(fileURLToPath(import.meta.url))
    slowestRead = Math.max(slowestRead, performance.now() - before)
    await sleep(10)
  }
  delay.disable()
  return { slowestRead, delay: delay.percentile(99) / 1e6 }
}

/** @type {Record<string, () => Promise<void>>} */
const stories = {
  /** Signs, and has nothing more to do. */
  async once() {
    const signer = await pkcs11Signer(options)
    process.stdin.destroy()
    say((await signer.sign(input)).byteLength)
  },

  /** Gives up on a token that hangs, and has nothing more to do. */
  async leave() {
    const signer = await pkcs11Signer(options)
    say('open')
    await told()
    process.stdin.destroy()
    const callers = Array.from({ length: 8 }, () =>
      signer.sign(input, { signal: AbortSignal.timeout(200) }).catch((error) => error.name),
    )
    say(await Promise.all(callers))
  },

  /** Has 8 signatures in flight on a token that hangs, and looks at what else works. */
  async hang() {
    const [short, long] = await Promise.all(
      [1, 2].map((timeoutSeconds) => pkcs11Signer({ ...options, timeoutSeconds })),
    )
    if (short === undefined || long === undefined) throw new Error('no signers')
    await short.sign(input)
    say('open')
    await told()
    const started = performance.now()
    /** @param {Promise<unknown>} call */
    const ended = async (call) => {
      const outcome = await call.catch((error) => codeOf(error) ?? error)
      return { outcome, milliseconds: Math.round(performance.now() - started) }
    }
    const callers = [
      ...Array.from({ length: 3 }, () => ended(short.sign(input))),
      ...Array.from({ length: 3 }, () => ended(long.sign(input))),
      ...[300, 600].map((after) => {
        const controller = new AbortController()
        setTimeout(() => controller.abort(`reason ${after}`), after)
        return ended(short.sign(input, { signal: controller.signal }))
      }),
    ]
    const windows = []
    for (let n = 0; n < 5; n++) windows.push(await look())
    const outcomes = await Promise.all(callers)
    say({ outcomes, windows })
    for (const signer of [short, long]) signer.sign(input).catch(() => {})
    await told()
    process.exit(0)
  },

  /** Shows what Node.js tells of it. */
  async report() {
    const signer = await pkcs11Signer(options)
    await signer.sign(input)
    say(process.report.getReport())
    await told()
    process.exit(0)
  },

  /** Opens its signer with no file descriptor left, and once more with them all. */
  async starve() {
    const open = []
    for (let isFull = false; !isFull; ) {
      try {
        open.push(openSync(fileURLToPath(import.meta.url), 'r'))
      } catch {
        isFull = true
      }
    }
    await pkcs11Signer(options).catch(({ code, message }) => say({ code, message }))
    for (const file of open) closeSync(file)
    await stories['once']?.()
  },

  /** Is in the middle of it when the test has it end. */
  async end() {
    const opening = pkcs11Signer(options)
    opening.then((signer) => signer.sign(input)).catch(() => {})
    say('started')
    const how = await told()
    if (how === 'exit') process.exit(0)
    setImmediate(() => {
      throw new Error('nobody catches this')
    })
  },
}

await stories[process.argv[2] ?? '']?.()
