// @ts-check
import { pkcs11Missing } from '../support/debian.js'
import { createSoftHsm } from '../support/softhsm.js'

/**
 * A new SoftHSM, which is installed first where the tests would install it.
 *
 * @returns {import('../support/softhsm.js').SoftHsm | string} why there is none
 */
export function openSoftHsm() {
  return pkcs11Missing() ?? createSoftHsm()
}
