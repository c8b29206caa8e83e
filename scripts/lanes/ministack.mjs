import { missing } from '../lib/counts.mjs'
import { ministack } from '../lib/python.mjs'
import { vitest } from '../lib/vitest.mjs'

/** Signs with keys in an AWS KMS that others wrote, once it is here. */
export async function ministackLane() {
  const complaint = await ministack.install()
  if (complaint !== undefined) return missing(complaint)
  return vitest('ministack', ['test/ministack'], { timeoutSeconds: 600 })
}
