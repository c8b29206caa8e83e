// @ts-check
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits until a condition is true, and fails after a timeout.
 *
 * @param {() => boolean} isSo
 * @param {number} [seconds]
 */
export async function until(isSo, seconds = 5) {
  const deadline = performance.now() + seconds * 1000
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`still false after ${seconds} s: ${isSo}`)
    await sleep(5)
  }
}
