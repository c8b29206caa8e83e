// @ts-check
import { installPkcs11Tools } from '../../scripts/lib/pkcs11-tools.mjs'
import { createSoftHsm, findSoftHsm } from '../support/softhsm.js'

/** A new SoftHSM, which is installed first where the tests would install it; `undefined` where that is not possible. */
export async function openSoftHsm() {
  if (findSoftHsm() === undefined) await installPkcs11Tools()
  return findSoftHsm() === undefined ? undefined : createSoftHsm()
}
