import { join } from 'node:path'
import { run } from '../lib/child.mjs'
import { Failure } from '../lib/failure.mjs'
import { LaneReport } from '../lib/lane-report.mjs'
import { prepared } from '../lib/prepare.mjs'
import { root } from '../lib/root.mjs'
import { secretsIn } from '../lib/secrets.mjs'

const secondsAllowed = 5
const secondsUntilKilled = 60

/** Runs the demonstration as a user does, but into a pipe, and looks at what it printed. */
export async function demoLane() {
  const report = new LaneReport()
  const { code, output, milliseconds } = await runDemo(process.execPath, 'tee')
  await report.check('the demo ends with exit code 0', () => {
    if (code !== 0) throw new Failure(`It ended with exit code ${code}.`)
  })
  await report.check(`the demo takes less than ${secondsAllowed} s`, () => {
    if (milliseconds > secondsAllowed * 1000) throw new Failure(`It took ${milliseconds} ms.`)
  })
  await report.check('the demo prints no secret', () => {
    const found = secretsIn(output)
    if (found.length > 0) throw new Failure(`It printed ${found.join(', ')}.`)
  })
  await report.check('the demo is plain text in a pipe', () => {
    if (output.includes('\u001b')) throw new Failure('It printed terminal escape sequences.')
  })
  return report.counts
}

/**
 * @param {string} node the binary to run it with
 * @param {'tee' | 'capture'} output
 */
export const runDemo = (node, output) =>
  run(node, [join(root, 'scripts/demo.mjs')], {
    // Left to itself, so that it has to notice the pipe.
    env: { ...prepared, NO_COLOR: undefined, FORCE_COLOR: undefined },
    output,
    timeoutSeconds: secondsUntilKilled,
  })
