// @ts-check
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits until something is so, and fails when it takes too long.
 *
 * @param {() => boolean} isSo
 * @param {number} [seconds]
 */
export async function until(isSo, seconds = 5) {
  const deadline = performance.now() + seconds * 1000
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not so after ${seconds} s: ${isSo}`)
    await sleep(5)
  }
}
