// @ts-check
import { table } from '../../support/markdown-table.js'
import { plot } from './plot.js'

/** @import { FleetOptions, FleetResult } from './fleet.js' */

/** @typedef {{ options: FleetOptions, result: FleetResult }} Run */

const fleetSizes = [1, 10, 100, 1000, 10_000]
export const lifetimes = [300, 3600]

/** The ways to authenticate a fleet that are compared. */
const modes = [
  { store: false, attestation: false, name: 'each replica for itself' },
  { store: false, attestation: true, name: 'attestation' },
  { store: true, attestation: false, name: 'store' },
  { store: true, attestation: true, name: 'store and attestation' },
]

/** All runs of the page, the fast ones first. */
export function allOptions(sizes = fleetSizes) {
  return sizes.flatMap((replicas) =>
    lifetimes.flatMap((lifetimeSeconds) =>
      modes.map(({ store, attestation }) => ({ replicas, lifetimeSeconds, store, attestation })),
    ),
  )
}

/** @param {FleetOptions} options */
export function modeOf({ store, attestation }) {
  const mode = modes.find((one) => one.store === store && one.attestation === attestation)
  return mode?.name ?? ''
}

const columns = [
  'How',
  'Replicas',
  'Signatures',
  'in the worst second',
  'Token requests',
  'in the worst second',
  'refused with 429',
  'Failed calls',
]

/**
 * The cells of one run.
 *
 * @param {Run} run
 */
export function cells({ options, result }) {
  const { signatures, tokenRequests, failedCalls } = result
  return [
    modeOf(options),
    ...[options.replicas, signatures.total, signatures.worstSecond],
    ...[tokenRequests.total, tokenRequests.worstSecond, tokenRequests.refused, failedCalls],
  ].map((cell) => cell.toLocaleString('en-US'))
}

/**
 * The table of the runs with one lifetime of tokens.
 *
 * @param {readonly Run[]} runs
 * @param {number} lifetimeSeconds
 */
function fleetTable(runs, lifetimeSeconds) {
  const rows = modes.flatMap(({ name }) =>
    runs.filter(
      ({ options }) => options.lifetimeSeconds === lifetimeSeconds && modeOf(options) === name,
    ),
  )
  return table([columns, ...rows.map(cells)])
}

/**
 * Replaces the tables between the markers of the page.
 *
 * @param {string} page
 * @param {readonly Run[]} runs
 */
export function withTables(page, runs) {
  return lifetimes.reduce((text, seconds) => {
    const { start, end } = marks(seconds)
    const [from, to] = [text.indexOf(start), text.indexOf(end)]
    if (from < 0 || to < from) throw new Error(`the page has no "${start}" before "${end}"`)
    return `${text.slice(0, from)}${start}\n\n${fleetTable(runs, seconds)}\n\n${text.slice(to)}`
  }, page)
}

/**
 * Reads the tables of the page.
 *
 * @param {string} page
 * @param {number} lifetimeSeconds
 * @returns {string[][]} the cells of each row
 */
export function readTable(page, lifetimeSeconds) {
  const { start, end } = marks(lifetimeSeconds)
  const lines = page.slice(page.indexOf(start), page.indexOf(end)).split('\n')
  const rows = lines.filter((line) => line.startsWith('|')).slice(2)
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

/** @param {number} seconds */
function marks(seconds) {
  return {
    start: `<!-- fleets: tokens of ${seconds} s; written by "npm run fleets" -->`,
    end: `<!-- end of fleets: tokens of ${seconds} s -->`,
  }
}

/**
 * Plots what the tables of the page say.
 *
 * @param {string} page
 */
export function plotOf(page) {
  /** @param {number} seconds @param {number} column */
  const lines = (seconds, column) =>
    modes.map(({ name }) => ({
      name,
      points: readTable(page, seconds)
        .filter(([mode]) => mode === name)
        .map((row) => ({ x: numberIn(row[1]), y: numberIn(row[column]) })),
    }))
  return plot(
    lifetimes.flatMap((seconds) => [
      { title: `Signatures a day, tokens of ${seconds / 60} min`, lines: lines(seconds, 2) },
      {
        title: `Token requests in the worst second, ${seconds / 60} min`,
        lines: lines(seconds, 5),
      },
    ]),
    { x: 'replicas' },
  )
}

/** @param {string | undefined} cell */
function numberIn(cell = '') {
  return Number(cell.replaceAll(',', ''))
}
