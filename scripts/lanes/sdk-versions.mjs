import { add, nothing, withFailure } from '../lib/counts.mjs'
import { sdkComplaints, sdkEnvironment } from '../lib/sdk-release.mjs'
import { sdkReleases } from '../lib/sdk-releases.mjs'
import { say } from '../lib/terminal.mjs'
import { vitest } from '../lib/vitest.mjs'

/** The oldest SDKs that the packages promise to work with, and the types of those and of the newest. */
export async function sdkVersionsLane() {
  const { oldest, forNewerNodes } = sdkReleases
  const found = []
  for (const sdk of oldest) found.push(await sdkTests(sdk))
  for (const sdk of [...oldest, ...Object.values(forNewerNodes)]) found.push(await sdkTypes(sdk))
  return add(found)
}

/**
 * The kit and the fault matrix with a release of an SDK.
 *
 * @param {import('../lib/sdk-release.mjs').SdkRelease} sdk
 */
async function sdkTests(sdk) {
  const { backend, name, version } = sdk
  const env = await sdkEnvironment(sdk)
  say(`${name} ${version}: kit and fault matrix`)
  const files = [`test/${backend}/algorithms.test.ts`, `test/faults/${backend}.test.ts`]
  return vitest(`sdk-${backend}-${version}`, files, { env, timeoutSeconds: 300 })
}

/**
 * @param {import('../lib/sdk-release.mjs').SdkRelease} sdk
 * @returns {Promise<import('../lib/counts.mjs').Counts>}
 */
async function sdkTypes(sdk) {
  say(`${sdk.name} ${sdk.version}: types`)
  const complaints = await sdkComplaints(sdk)
  if (complaints === undefined) return { ...nothing(), passed: 1 }
  console.log(complaints)
  return withFailure(nothing(), `the types of ${sdk.name} ${sdk.version} do not fit`)
}
