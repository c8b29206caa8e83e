import { describe, expect, test } from 'vitest'
import { sdkEnvironment } from '../sdk/release.js'
import { sdkReleases } from '../sdk/releases.js'
import { majors, nodeBinary, nodeBinaryMissing } from '../support/node-binary.js'
import { run } from '../support/run.js'

const { oldest, newest } = sdkReleases.forNewerNodes

describe.each(majors)('Node.js %i', { timeout: 900_000 }, (major) => {
  const sdk = major === majors[0] ? oldest : newest
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit']

  test.for([
    ['the tests of the packages pass', [...vitest, 'packages/'], {}],
    [
      `${sdk.name} ${sdk.version} passes the tests of its backend`,
      [...vitest, 'test/gcp-kms', 'test/faults/gcp-kms.test.ts'],
      sdkEnvironment(sdk),
    ],
    ['the demo runs', ['scripts/run.mjs', 'demo'], { COUNTERSIGN_PREPARED: '1' }],
  ] as const)('%s', async ([, args, env], { skip }) => {
    if (nodeBinaryMissing !== undefined) skip(`missing: ${nodeBinaryMissing}`)
    const { code, output } = await run(nodeBinary(major), args, { env })
    expect(code, output).toBe(0)
  })
})
