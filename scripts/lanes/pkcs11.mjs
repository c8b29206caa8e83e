import { findModule, findSoftHsm } from '../../test/support/softhsm.js'
import { buildAddon } from '../lib/addon.mjs'
import { add, missing } from '../lib/counts.mjs'
import { findProgram } from '../lib/find-program.mjs'
import { installPkcs11Tools, pkcs11Tools } from '../lib/pkcs11-tools.mjs'
import { scriptLane } from '../lib/script-lane.mjs'
import { vitest } from '../lib/vitest.mjs'

const soak = scriptLane('pkcs11-soak', {
  script: 'test/pkcs11/soak.mjs',
  nodeOptions: ['--expose-gc'],
  timeoutSeconds: 600,
})

/** Signs with keys on SoftHSM, directly and through p11-kit, once what that takes is here. */
export async function pkcs11Lane() {
  if (lacking().length > 0) await installPkcs11Tools()
  const absent = lacking()
  if (absent.length > 0) {
    return missing(`${absent.join(', ')} not found; install with: ${pkcs11Tools()}`)
  }
  const complaint = await buildAddon()
  if (complaint !== undefined) return missing(complaint)
  const tests = await vitest('pkcs11', ['test/pkcs11'], { timeoutSeconds: 600 })
  return add([tests, await soak()])
}

function lacking() {
  const modules = {
    'libsofthsm2.so': findSoftHsm(),
    'p11-kit-client.so': findModule('p11-kit-client.so'),
  }
  return [
    ...Object.entries(modules)
      .filter(([, path]) => path === undefined)
      .map(([name]) => name),
    ...['softhsm2-util', 'pkcs11-tool', 'p11-kit', 'cc'].filter(
      (name) => findProgram(name) === undefined,
    ),
  ]
}
