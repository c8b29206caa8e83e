// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

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
 * Starts `test/pkcs11/agent.mjs`.
 *
 * @param {string} scenario
 * @param {object} options  of its signer
 * @returns {Agent}
 */
export function startAgent(scenario, options) {
  const child = spawn(runtime, [program, scenario], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
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
