import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** How long one test file may run. The slowest one takes a quarter of this on a busy machine with two cores. */
const limitSeconds = 15 * 60

/** Makes a worker write a report about itself when it gets SIGUSR2, unless its thread is blocked. */
export const workerOptions = [
  '--report-on-signal',
  '--report-exclude-network',
  `--report-directory=${tmpdir()}`,
]

/**
 * Ends the workers of test files that do not end, so that the run continues. vitest cannot do that: a worker that is
 * blocked in a system call or in native code runs none of its timers.
 *
 * @returns {import('vitest/reporters').Reporter & { ended: Map<string, import('vitest/node').TestModule> }}
 *   a reporter; `ended` has the files whose workers it ended, by project and path
 */
export function watchdog() {
  /** @type {Map<string, { module: import('vitest/node').TestModule, start: number }>} */
  const running = new Map()
  /** @type {Map<string, import('vitest/node').TestModule>} */
  const ended = new Map()
  const nameOf = (/** @type {import('vitest/node').TestModule} */ { project, moduleId }) =>
    `${project.name} ${moduleId}`
  setInterval(async () => {
    const limit = performance.now() - limitSeconds * 1000
    for (const [name, { module, start }] of running) {
      if (start > limit) continue
      running.delete(name)
      ended.set(name, module)
      console.error(`\n${name} has not ended after ${limitSeconds} seconds.`)
      await endWorkers()
    }
  }, 10_000).unref()
  return {
    ended,
    onTestModuleQueued(module) {
      running.set(nameOf(module), { module, start: performance.now() })
    },
    onTestModuleEnd(module) {
      running.delete(nameOf(module))
    },
  }
}

/** Ends the workers that run for too long, with their subprocesses, after it printed what they were doing. */
async function endWorkers() {
  const rows = processes()
  const workers = rows.filter(
    ({ parent, seconds }) => parent === process.pid && seconds >= limitSeconds,
  )
  if (workers.length === 0) {
    console.error('Its worker was not found by ps. The run ends here.')
    console.log('\n0 passed, 1 failed, 0 skipped')
    process.exit(1)
  }
  for (const worker of workers) {
    const found = [worker]
    for (const { pid } of found) found.push(...rows.filter(({ parent }) => parent === pid))
    for (const { line } of found) console.error(line.slice(0, 200))
    process.kill(worker.pid, 'SIGUSR2')
    await delay(3000)
    console.error(stackOf(worker.pid))
    for (const { pid } of found) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
  }
}

function processes() {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,etimes=,time=,wchan=,args='], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  // Null where there is no ps.
  return (stdout ?? '').split('\n').map((line) => {
    const [pid = 0, parent = 0, seconds = 0] = line.trim().split(/\s+/, 3).map(Number)
    return { pid, parent, seconds, line }
  })
}

/** @param {number} pid of a worker that got SIGUSR2 */
function stackOf(pid) {
  const name = readdirSync(tmpdir()).find((file) =>
    new RegExp(`^report\\..*\\.${pid}\\.`).test(file),
  )
  if (name === undefined)
    return 'It wrote no report: its thread is blocked, or busy (see its processor time above).'
  const file = join(tmpdir(), name)
  const { javascriptStack, nativeStack, libuv } = JSON.parse(readFileSync(file, 'utf8'))
  rmSync(file)
  const native = nativeStack.map((/** @type {{ symbol: string }} */ { symbol }) => symbol)
  return JSON.stringify({ javascriptStack, native, libuv })
}
