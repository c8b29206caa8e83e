// @ts-check

/** @import { Signer } from '@countersign/core' */
/** @import { Contender } from './measure.js' */

/**
 * Concurrent callers, each of which signs again as soon as it has a signature.
 *
 * @param {Signer} signer
 * @param {Uint8Array} message
 * @param {number} atOnce
 * @returns {Contender}
 */
export function signing(signer, message, atOnce) {
  return async (times) => {
    let left = times
    const sign = async () => {
      while (left-- > 0) await signer.sign(message)
    }
    await Promise.all(Array.from({ length: atOnce }, sign))
  }
}
