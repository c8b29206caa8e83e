import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { root } from './root.mjs'
import { asHere, plain } from './terminal.mjs'

/**
 * @typedef {object} Options
 * @property {string} [cwd]
 * @property {Record<string, string | undefined>} [env] added to this process's environment; `undefined` removes
 * @property {'live' | 'capture' | 'tee'} [output] shown as it comes, kept, or both; default `live`
 * @property {number} [timeoutSeconds]
 * @property {boolean} [shell]
 */

/**
 * @typedef {object} Outcome
 * @property {number} code exit code, or 128 + signal number
 * @property {string} output standard output and error, interleaved, when kept
 * @property {boolean} timedOut
 * @property {number} milliseconds
 */

const graceMilliseconds = 5000

// Each child leads a process group of its own, so that its children can be ended with it.
const ownGroup = process.platform !== 'win32'

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
function end(child, signal) {
  if (child.pid === undefined) return
  try {
    if (ownGroup) process.kill(-child.pid, signal)
    else child.kill(signal)
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error
  }
}

/** @param {import('node:child_process').ChildProcess} child */
function endSoon(child) {
  end(child, 'SIGTERM')
  setTimeout(() => running.has(child) && end(child, 'SIGKILL'), graceMilliseconds).unref()
}

let stopping = false

/** @param {NodeJS.Signals} signal */
function stop(signal) {
  const code = 128 + constants.signals[signal]
  if (stopping) process.exit(code)
  stopping = true
  console.error('\nStopping …')
  for (const child of running) endSoon(child)
  const deadline = Date.now() + graceMilliseconds + 500
  const wait = setInterval(() => {
    if (running.size > 0 && Date.now() < deadline) return
    clearInterval(wait)
    process.exit(code)
  }, 20)
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => stop(signal))
}
process.on('exit', () => {
  for (const child of running) end(child, 'SIGKILL')
})

/**
 * Runs a program to its end. Rejects only when it cannot be started.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Options} [options]
 * @returns {Promise<Outcome>}
 */
export function run(command, args, options = {}) {
  const { cwd = root, env = {}, output = 'live', timeoutSeconds, shell = false } = options
  const started = performance.now()
  return new Promise((resolve, reject) => {
    const stream = output === 'live' ? 'inherit' : 'pipe'
    const child = spawn(command, args, {
      cwd,
      shell,
      env: { ...process.env, ...(output === 'live' ? asHere : plain), ...env },
      stdio: ['ignore', stream, stream],
      detached: ownGroup,
    })
    running.add(child)
    let kept = ''
    let timedOut = false
    for (const [from, to] of /** @type {const} */ ([
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ])) {
      from?.setEncoding('utf8').on('data', (text) => {
        kept += text
        if (output === 'tee') to.write(text)
      })
    }
    const timer =
      timeoutSeconds === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true
            endSoon(child)
          }, timeoutSeconds * 1000)
    child.once('error', (error) => {
      clearTimeout(timer)
      running.delete(child)
      reject(error)
    })
    child.once('exit', () => running.delete(child))
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      // After a stop the process is about to exit: whoever waits must not go on with more work.
      if (stopping) return
      resolve({
        code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]),
        output: kept,
        timedOut,
        milliseconds: performance.now() - started,
      })
    })
  })
}
