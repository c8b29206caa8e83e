import { buildAddon } from '../lib/addon.mjs'
import { add, missing } from '../lib/counts.mjs'
import { scriptLane } from '../lib/script-lane.mjs'
import { prepareTokens } from '../lib/tokens.mjs'
import { vitest } from '../lib/vitest.mjs'

const soak = scriptLane('pkcs11-soak', {
  script: 'test/pkcs11/soak.mjs',
  nodeOptions: ['--expose-gc'],
  timeoutSeconds: 600,
})

/** PKCS#11 against SoftHSM and p11-kit, in folders of the tests' own: nobody's tokens are touched. */
export async function pkcs11Lane() {
  const obstacle = (await prepareTokens()) ?? (await buildAddon())
  if (obstacle !== undefined) return missing(obstacle)
  const tests = await vitest('pkcs11', ['test/pkcs11'], { timeoutSeconds: 600 })
  return add([tests, await soak()])
}
