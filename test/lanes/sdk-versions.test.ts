import { describe, expect, test } from 'vitest'
import { sdkComplaints, sdkEnvironment } from '../sdk/release.js'
import { sdkReleases } from '../sdk/releases.js'
import { run } from '../support/run.js'

const { oldest, forNewerNodes } = sdkReleases

describe.each(oldest)('$name $version', { timeout: 300_000 }, (sdk) => {
  test('passes the kit and the fault matrix', async () => {
    const files = [`test/${sdk.backend}/algorithms.test.ts`, `test/faults/${sdk.backend}.test.ts`]
    const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', ...files]
    const { code, output } = await run(process.execPath, args, { env: sdkEnvironment(sdk) })
    expect(code, output).toBe(0)
  })
})

test.each([...oldest, ...Object.values(forNewerNodes)])(
  'the types of $name $version are compatible',
  { timeout: 300_000 },
  async (sdk) => {
    expect(await sdkComplaints(sdk)).toBeUndefined()
  },
)
