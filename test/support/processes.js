// @ts-check
import { readFileSync } from 'node:fs'

/**
 * Tells whether a process runs. A zombie process does not.
 *
 * @param {number} pid
 */
export function isAlive(pid) {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z')
  } catch {
    // The process has ended meanwhile, or this is not Linux.
    return process.platform !== 'linux'
  }
}
