import { colour, seconds } from './terminal.mjs'

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {import('./counts.mjs').Counts} counts
 * @property {number} milliseconds
 */

/**
 * The counts with a missing lane as one skipped item or, under `strict`, as one failed item.
 *
 * @param {import('./counts.mjs').Counts} counts
 * @param {boolean} strict
 * @returns {import('./counts.mjs').Counts}
 */
export function settle(counts, strict) {
  if (counts.missing === undefined) return counts
  return strict
    ? { ...counts, failed: counts.failed + 1 }
    : { ...counts, skipped: counts.skipped + 1 }
}

/** @param {import('./counts.mjs').Counts} counts */
export const tally = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

/**
 * The table of lanes, without colours.
 *
 * @param {readonly Row[]} rows
 * @returns {string[]}
 */
export function table(rows) {
  const cells = [
    ['lane', 'passed', 'failed', 'skipped', 'time', ''],
    ...rows.map(({ name, counts, milliseconds }) => [
      name,
      String(counts.passed),
      String(counts.failed),
      String(counts.skipped),
      seconds(milliseconds),
      counts.missing === undefined ? '' : `missing: ${counts.missing}`,
    ]),
  ]
  const widths = [0, 1, 2, 3, 4].map((i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)))
  return cells.map((row) =>
    row
      .map((cell, i) => {
        const width = widths[i] ?? 0
        return i === 0 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd(),
  )
}

const notesPerLane = 20

/**
 * Prints the table, what the lanes have to say, and as last line the plain sum.
 *
 * @param {readonly Row[]} rows
 * @param {import('./counts.mjs').Counts} sum
 */
export function printSummary(rows, sum) {
  const [head = '', ...lines] = table(rows)
  console.log(`\n${colour('bold', head)}`)
  for (const [i, line] of lines.entries()) {
    const counts = rows[i]?.counts
    if (counts === undefined) continue
    const style = counts.failed > 0 ? 'red' : counts.skipped > 0 ? 'yellow' : 'green'
    console.log(colour(style, line))
  }
  for (const { name, counts } of rows) {
    const { notes = [] } = counts
    if (notes.length === 0) continue
    console.log(`\n${colour('bold', name)}`)
    for (const note of notes.slice(0, notesPerLane)) console.log(`  ${note}`)
    if (notes.length > notesPerLane) console.log(`  and ${notes.length - notesPerLane} more`)
  }
  console.log(`\n${tally(sum)}`)
}
