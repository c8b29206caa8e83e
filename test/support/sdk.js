// @ts-check

/**
 * The entry point of another release of a vendor's SDK than the workspace's, when the tests are to run with one.
 *
 * @param {string} name
 * @returns {string | undefined}
 */
export function sdkEntry(name) {
  const [of, entry] = (process.env['COUNTERSIGN_SDK'] ?? '').split('=')
  return of === name ? entry : undefined
}
