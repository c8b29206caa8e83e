import { add, missing, nothing, withFailure } from '../lib/counts.mjs'
import { majors, nodeBinary, nodeBinaryMissing } from '../lib/node-binary.mjs'
import { sdkEnvironment } from '../lib/sdk-release.mjs'
import { sdkReleases } from '../lib/sdk-releases.mjs'
import { say } from '../lib/terminal.mjs'
import { vitest } from '../lib/vitest.mjs'
import { runDemo } from './demo.mjs'

/** The packages' own tests, those of the SDKs that are for newer Nodes only, and the demonstration on every newer Node. */
export async function matrixLane() {
  if (nodeBinaryMissing !== undefined) return missing(nodeBinaryMissing)
  const found = []
  for (const major of majors) {
    const node = await nodeBinary(major)
    say(`Node ${major}: the packages' tests`)
    const unit = await vitest(`node-${major}`, ['packages/'], { node, timeoutSeconds: 600 })
    const { oldest, newest } = sdkReleases.forNewerNodes
    const sdk = major === majors[0] ? oldest : newest
    say(`Node ${major}: ${sdk.name} ${sdk.version}`)
    const files = ['test/gcp-kms', 'test/faults/gcp-kms.test.ts']
    const gcpKms = await vitest(`node-${major}-gcp-kms`, files, {
      node,
      env: await sdkEnvironment(sdk),
      timeoutSeconds: 600,
    })
    found.push(onNode(major, unit), onNode(major, gcpKms), onNode(major, await demoOn(node)))
  }
  return add(found)
}

/**
 * @param {string} node
 * @returns {Promise<import('../lib/counts.mjs').Counts>}
 */
async function demoOn(node) {
  const { code, output } = await runDemo(node, 'capture')
  if (code === 0) return { ...nothing(), passed: 1 }
  console.log(output)
  return withFailure(nothing(), `the demo ended with exit code ${code}`)
}

/**
 * @param {number} major
 * @param {import('../lib/counts.mjs').Counts} counts
 */
const onNode = (major, counts) => ({
  ...counts,
  notes: (counts.notes ?? []).map((note) => `Node ${major}: ${note}`),
})
