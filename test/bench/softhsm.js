// @ts-check
import { pkcs11Missing } from '../support/debian.js'
import { createSoftHsm } from '../support/softhsm.js'

/**
 * A new SoftHSM, which is installed first where the tests would install it.
 *
 * @returns {import('../support/softhsm.js').SoftHsm | string} why it cannot be used
 */
export function openSoftHsm() {
  return pkcs11Missing() ?? createSoftHsm()
}
