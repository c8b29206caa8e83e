// @ts-check

/**
 * Returns the entry point of another release of a vendor's SDK, if the tests must run with one.
 *
 * @param {string} name
 * @returns {string | undefined}
 */
export function sdkEntry(name) {
  const [of, entry] = (process.env['COUNTERSIGN_SDK'] ?? '').split('=')
  return of === name ? entry : undefined
}
