/**
 * What a lane found. `missing` says why the lane could not run at all; `skipped` counts what did
 * not apply here. `notes` are shown under the table.
 *
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string} [missing]
 * @property {string[]} [notes]
 */

/** @returns {Counts} */
export const nothing = () => ({ passed: 0, failed: 0, skipped: 0 })

/**
 * @param {readonly Counts[]} all
 * @returns {Counts}
 */
export function add(all) {
  const sum = nothing()
  for (const { passed, failed, skipped, notes = [] } of all) {
    sum.passed += passed
    sum.failed += failed
    sum.skipped += skipped
    sum.notes = [...(sum.notes ?? []), ...notes]
  }
  return sum
}

/**
 * @param {string} reason
 * @returns {Counts}
 */
export const missing = (reason) => ({ ...nothing(), missing: reason })

/**
 * One more failure, which belongs to no single test.
 *
 * @param {Counts} counts
 * @param {string} note
 * @returns {Counts}
 */
export const withFailure = (counts, note) => ({
  ...counts,
  failed: counts.failed + 1,
  notes: [...(counts.notes ?? []), note],
})
