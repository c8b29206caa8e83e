// @ts-check
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/**
 * Returns whether a process runs. A zombie process does not.
 *
 * @param {number} pid
 */
export function isAlive(pid) {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  // The process may have ended since.
  return process.platform !== 'linux' || (statusOf(pid)?.state ?? 'Z') !== 'Z'
}

/**
 * Ends a process and all its descendants. A signal to the process alone leaves those running, and they keep its pipes
 * open.
 *
 * @param {number} pid
 */
export function endTree(pid) {
  if (process.platform === 'win32') {
    spawnSync('taskkill', ['/pid', String(pid), '/t', '/f'], { timeout: 10_000 })
    return
  }
  const all = parents()
  const found = [pid]
  for (const parent of found) {
    for (const [child, itsParent] of all) if (itsParent === parent) found.push(child)
  }
  for (const each of found) {
    try {
      process.kill(each, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
}

/** @returns {Map<number, number>} the parent of each process */
function parents() {
  if (process.platform === 'linux') {
    const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    return new Map(all.map((name) => [Number(name), statusOf(Number(name))?.parent ?? 0]))
  }
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  return new Map(rows.map(([child = 0, parent = 0]) => [child, parent]))
}

/**
 * Information that Linux has about a process.
 *
 * @param {number} pid
 */
function statusOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program, in parentheses, may have spaces.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state, parent: Number(parent) }
  } catch {
    return undefined
  }
}
