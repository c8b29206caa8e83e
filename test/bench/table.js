// @ts-check
/** @import { Row, Target } from './measure.js' */

const widths = [58, 22, 36, 8, 18, 7, 8, 6]

/** The heading of the columns. */
export const heading = columns([
  '',
  'value',
  'compared with',
  'ratio',
  'quartiles',
  'rounds',
  'target',
  '',
])

/**
 * Writes a row in columns of fixed width, so that it can be printed before the next one is measured.
 *
 * @param {Row} row
 */
export function rowText({ name, unit, value, baseline, ratio, spread, target, met }) {
  return columns([
    name,
    `${number(value)} ${unit}`,
    baseline === undefined ? '' : `${baseline.name} ${number(baseline.value)}`,
    ratio === undefined ? '' : number(ratio),
    `${number(spread.low)} – ${number(spread.high)}`,
    String(spread.rounds),
    target === undefined ? '' : targetText(target),
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ])
}

/** @param {readonly string[]} cells */
function columns(cells) {
  return cells
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join('  ')
    .trimEnd()
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
