import { findSoftHsm } from '../../test/support/softhsm.js'
import { missing } from '../lib/counts.mjs'
import { findProgram } from '../lib/find-program.mjs'
import { installPkcs11Tools, pkcs11Tools } from '../lib/pkcs11-tools.mjs'
import { vitest } from '../lib/vitest.mjs'

/** Signs with keys on SoftHSM, directly and through p11-kit, once what that takes is here. */
export async function pkcs11Lane() {
  if (lacking().length > 0) await installPkcs11Tools()
  const absent = lacking()
  if (absent.length > 0) {
    return missing(`${absent.join(', ')} not found; install with: ${pkcs11Tools().command}`)
  }
  return vitest('pkcs11', ['test/pkcs11'], { timeoutSeconds: 600 })
}

function lacking() {
  const programs = ['softhsm2-util', 'pkcs11-tool', 'p11-kit', 'cc'].filter(
    (name) => findProgram(name) === undefined,
  )
  return findSoftHsm() === undefined ? ['libsofthsm2.so', ...programs] : programs
}
