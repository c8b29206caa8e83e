// @ts-check
/** @import { Row, Target } from './measure.js' */

/**
 * Writes rows as text in columns, one line each, a missed target with its number.
 *
 * @param {readonly Row[]} rows
 */
export function table(rows) {
  const lines = [
    ['', 'value', 'compared with', 'ratio', 'quartiles', 'rounds', 'target', ''],
    ...rows.map(cells),
  ]
  const widths = lines.reduce(
    (widest, line) => line.map((cell, column) => Math.max(cell.length, widest[column] ?? 0)),
    /** @type {number[]} */ ([]),
  )
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** @param {Row} row */
function cells({ name, unit, value, baseline, ratio, spread, target, met }) {
  return [
    name,
    `${number(value)} ${unit}`,
    baseline === undefined ? '' : `${baseline.name} ${number(baseline.value)}`,
    ratio === undefined ? '' : number(ratio),
    `${number(spread.low)} – ${number(spread.high)}`,
    String(spread.rounds),
    target === undefined ? '' : targetText(target),
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ]
}

/** @param {Target} target */
function targetText(target) {
  return 'atLeast' in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`
}

/** @param {number} value */
function number(value) {
  const digits =
    Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 10 ? 2 : 3
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}
