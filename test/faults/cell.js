// @ts-check

/**
 * What comes of a fault at one backend.
 *
 * @template Scene  what the fault is planted in
 *
 * @typedef {object} Cell
 * @property {import('@countersign/core').SignerErrorCode | 'signs' | 'reason'} code  `signs` where the right
 *   signature comes, and `reason` where it is that of the abort
 * @property {boolean} retryable
 * @property {Calls} calls  that reach the service, those of the SDK's retries included
 * @property {End} ends
 * @property {string | RegExp} says  part of the message, which tells this failure from others of its code
 * @property {(scene: Scene, place: { on: 'key' | 'signature', times: number | undefined }) => void} plant
 * @property {Alg} alg
 * @property {boolean} byAlias  whether the key is named so that the service chooses what is meant
 */

/**
 * `many` is more than one, as many as there is time for.
 *
 * @typedef {number | 'many'} Calls
 *
 * @typedef {'at once' | 'after retries' | 'at the deadline'} End
 *
 * @typedef {'ES256' | 'ES384' | 'ES512' | 'PS256' | 'RS256'} Alg
 */

/**
 * The cells of a backend: `undefined` where its service has no such thing.
 *
 * @template Scene
 * @typedef {{ readonly [fault in import('./faults.js').FaultName]: Cell<Scene> | undefined }} Cells
 */

/** Seconds within which a signature fails that waits for nothing. */
export const atOnceSeconds = 2

const transient = ['ERR_SIGNER_THROTTLED', 'ERR_SIGNER_UNAVAILABLE', 'ERR_SIGNER_TIMEOUT']

/**
 * Makes the cells of a backend.
 *
 * @template Scene
 * @param {number} attempts  that its SDK makes
 */
export function cellsOf(attempts) {
  /** @typedef {Cell<Scene>['plant']} Plant */
  /** @typedef {Partial<Pick<Cell<Scene>, 'calls' | 'ends' | 'alg' | 'byAlias'>>} Other */

  /**
   * @param {Cell<Scene>['code']} code
   * @param {Cell<Scene>['says']} says
   * @param {Plant} plant
   * @param {Other} [other]
   * @returns {Cell<Scene>}
   */
  const cell = (code, says, plant, other = {}) => ({
    code,
    retryable: transient.includes(code),
    calls: 1,
    ends: 'at once',
    says,
    plant,
    alg: 'ES256',
    byAlias: false,
    ...other,
  })
  /** @param {Cell<Scene>['code']} code */
  const withCode =
    (code) =>
    /** @param {Cell<Scene>['says']} says @param {Plant} plant @param {Other} [other] */
    (says, plant, other) =>
      cell(code, says, plant, other)
  return {
    /** What the SDK does again, as often as it does. */
    retried: /** @type {const} */ ({ calls: attempts, ends: 'after retries' }),
    throttled: withCode('ERR_SIGNER_THROTTLED'),
    unavailable: withCode('ERR_SIGNER_UNAVAILABLE'),
    denied: withCode('ERR_SIGNER_ACCESS_DENIED'),
    disabled: withCode('ERR_SIGNER_KEY_DISABLED'),
    notFound: withCode('ERR_SIGNER_KEY_NOT_FOUND'),
    unsupported: withCode('ERR_SIGNER_KEY_UNSUPPORTED'),
    integrity: withCode('ERR_SIGNER_INTEGRITY'),
    config: withCode('ERR_SIGNER_CONFIG'),
    unforeseen: withCode('ERR_SIGNER_BACKEND'),
    /** @param {Plant} plant @param {Other} [other] */
    timeout: (plant, other) =>
      cell('ERR_SIGNER_TIMEOUT', 'raise "timeoutSeconds"', plant, {
        ends: 'at the deadline',
        ...other,
      }),
    /** @param {Plant} plant */
    aborted: (plant) => cell('reason', '', plant),
    /** @param {Plant} plant @param {Other} [other] */
    signs: (plant, other) => cell('signs', '', plant, other),
  }
}
