// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** `COUNTERSIGN_AGENT_RUNTIME=/path/to/bun npx vitest run test/pkcs11` uses Bun in place of Node.js. */
const runtime = process.env['COUNTERSIGN_AGENT_RUNTIME'] ?? process.execPath
const program = fileURLToPath(new URL('../pkcs11/agent.mjs', import.meta.url))

/**
 * @typedef {object} Agent
 * @property {number} pid
 * @property {() => Promise<any>} hear  resolves with the next line of its output
 * @property {(line: string) => void} tell
 * @property {(signal: NodeJS.Signals) => void} signal
 * @property {Promise<{ code: number | null, signal: NodeJS.Signals | null, errors: string }>} ended
 */

/**
 * Starts `test/pkcs11/agent.mjs` for one test, and ends it with the test.
 *
 * @param {string} scenario
 * @param {object} options  of its signer
 * @param {number} [openFiles]  how many files it may have open; the limit of this process by default, which can be 10⁹
 * @returns {Agent}
 */
export function startAgent(scenario, options, openFiles) {
  const command = [runtime, program, scenario]
  const limit = openFiles === undefined ? '' : `ulimit -n ${openFiles}; `
  const child = spawn('sh', ['-c', `${limit}exec "$@"`, 'sh', ...command], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  // Not by argument or environment, where other users can read the PIN.
  child.stdin.write(`${JSON.stringify(options)}\n`)
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text
  })
  child.stdin.on('error', () => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, errors }))
  return {
    pid: child.pid ?? 0,
    async hear() {
      const { value, done } = await lines.next()
      if (done) throw new Error(`the agent ended without output: ${(await ended).errors}`)
      return JSON.parse(value)
    },
    tell: (line) => void child.stdin.write(`${line}\n`),
    signal: (signal) => void child.kill(signal),
    ended,
  }
}
