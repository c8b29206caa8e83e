import { spawnSync } from 'node:child_process'

/** How long one test file may run. The slowest one takes a quarter of this on a busy machine with two cores. */
const limitMs = 15 * 60_000

/**
 * Ends a test run in which a file does not end. vitest cannot: a worker that is blocked in a system call or in native
 * code runs none of its timers.
 *
 * @param {(files: import('vitest/node').TestModule[], vitest: import('vitest/node').Vitest | undefined) => void} onStuck
 *   gets the files, after their processes were printed and ended
 * @returns {import('vitest/reporters').Reporter & { stop(): void }}
 */
export function watchdog(onStuck) {
  /**
   * By name, since vitest reports the start and the end of a file with two objects.
   *
   * @type {Map<string, { module: import('vitest/node').TestModule, start: number }>}
   */
  const running = new Map()
  const nameOf = (/** @type {import('vitest/node').TestModule} */ { project, moduleId }) =>
    `${project.name} ${moduleId}`
  /** @type {import('vitest/node').Vitest | undefined} */
  let vitest
  let lastEvent = performance.now()
  const timer = setInterval(() => {
    const before = performance.now() - limitMs
    const stuck = [...running.values()]
      .filter(({ start }) => start < before)
      .map(({ module }) => module)
    if (stuck.length === 0 && lastEvent >= before) return
    clearInterval(timer)
    for (const { moduleId } of stuck) {
      console.error(`\n${moduleId} has not ended after ${limitMs / 60_000} minutes.`)
    }
    if (stuck.length === 0) console.error('\nNo test file has started or ended for 15 minutes.')
    endDescendants()
    onStuck(stuck, vitest)
  }, 10_000)
  return {
    onInit(found) {
      vitest = found
    },
    onTestModuleQueued(module) {
      lastEvent = performance.now()
      running.set(nameOf(module), { module, start: lastEvent })
    },
    onTestModuleEnd(module) {
      lastEvent = performance.now()
      running.delete(nameOf(module))
    },
    stop: () => clearInterval(timer),
  }
}

/** Prints the processes that this one has started, themselves or through others, and ends them. */
function endDescendants() {
  const ps = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,etime=,wchan=,args='], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  const rows = (ps.stdout ?? '').split('\n').map((line) => {
    const [pid = '', parent = ''] = line.trim().split(/\s+/, 2)
    return { pid: Number(pid), parent: Number(parent), line }
  })
  const found = new Set([process.pid])
  for (let size = 0; size < found.size; ) {
    size = found.size
    for (const { pid, parent } of rows) if (found.has(parent)) found.add(pid)
  }
  for (const { pid, line } of rows) {
    if (!found.has(pid) || pid === process.pid || pid === ps.pid) continue
    console.error(line.slice(0, 300))
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
}
