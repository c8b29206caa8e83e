// @ts-check
import { spawnSync } from 'node:child_process'
import { performance } from 'node:perf_hooks'

/**
 * Runs Node.js with these arguments, and returns how long that took.
 *
 * @param {string[]} args
 */
export function millisecondsOf(args) {
  const start = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    timeout: 60_000,
  })
  const milliseconds = performance.now() - start
  if (status !== 0) throw new Error(`node ${args[0]} failed: ${stderr}`)
  return milliseconds
}
