// @ts-check
import { readFileSync } from 'node:fs'

/**
 * Whether a process runs; one that has ended and that nobody has looked after yet does not.
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
    // Gone meanwhile, or not Linux.
    return process.platform !== 'linux'
  }
}
