import { add, missing, nothing, withFailure } from '../lib/counts.mjs'
import { newerGcpKmsSdk } from '../lib/gcp-kms-sdk.mjs'
import { majors, nodeBinary, nodeBinaryMissing } from '../lib/node-binary.mjs'
import { say } from '../lib/terminal.mjs'
import { vitest } from '../lib/vitest.mjs'
import { runDemo } from './demo.mjs'

/** The packages' own tests, those of the SDK that is for newer Nodes only, and the demonstration on every newer Node. */
export async function matrixLane() {
  if (nodeBinaryMissing !== undefined) return missing(nodeBinaryMissing)
  const found = []
  for (const major of majors) {
    const node = await nodeBinary(major)
    say(`Node ${major}: the packages' tests`)
    const unit = await vitest(`node-${major}`, ['packages/'], { node, timeoutSeconds: 600 })
    say(`Node ${major}: the newer SDK of Google Cloud KMS`)
    const gcpKms = await vitest(`node-${major}-gcp-kms`, ['test/gcp-kms'], {
      node,
      env: { COUNTERSIGN_GCP_KMS_SDK: await newerGcpKmsSdk() },
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
