// @ts-check
import { performance } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'

/**
 * A line of the table.
 *
 * @typedef {object} Row
 * @property {string} name what is measured
 * @property {string} unit
 * @property {number} value median over the rounds
 * @property {Spread} spread of the ratio where there is one, else of the value
 * @property {Baseline | undefined} baseline what the value is compared with
 * @property {number | undefined} ratio median of the rounds' ratios of value to baseline
 * @property {Target | undefined} target for the ratio where there is one, else for the value
 * @property {boolean | undefined} met
 */

/** @typedef {{ name: string, value: number }} Baseline */
/** @typedef {{ atLeast: number } | { atMost: number }} Target */

/**
 * What lies between the first and the third quartile, and of how many rounds.
 *
 * @typedef {{ low: number, high: number, rounds: number }} Spread
 */

/**
 * One way of doing the same thing: performs it the given number of times, one after the other.
 *
 * @typedef {(times: number) => void | Promise<void>} Contender
 */

/**
 * Rates in operations per second, by contender, one for each round that counts.
 *
 * @typedef {Record<string, number[]>} Rates
 */

const turnMilliseconds = 100

/**
 * Lets contenders take turns and returns the rate of each in each round.
 *
 * A turn starts with a clean nursery and ends with a clean one, so that a contender pays for its own
 * garbage and for no other's. Every second round goes backwards, so that none always follows the same
 * other. Rounds in which another process had the core are left out, as long as enough remain.
 *
 * @param {Record<string, Contender>} contenders
 * @param {{ rounds?: number, severalThreads?: boolean }} [options] with `severalThreads`, no round is left out
 * @returns {Promise<Rates>}
 */
export async function takeTurns(contenders, { rounds = 25, severalThreads = false } = {}) {
  /** @type {{ name: string, contender: Contender, times: number }[]} */
  const turns = []
  for (const [name, contender] of Object.entries(contenders)) {
    turns.push({ name, contender, times: await timesPerTurn(contender) })
  }
  /** @type {{ rates: Record<string, number>, undisturbed: boolean }[]} */
  const measured = []
  for (let round = 0; round < rounds; round++) {
    /** @type {Record<string, number>} */
    const rates = {}
    let undisturbed = true
    for (const { name, contender, times } of round % 2 === 0 ? turns : turns.toReversed()) {
      const { seconds, cpuSeconds } = await timed(contender, times)
      rates[name] = times / seconds
      undisturbed &&= cpuSeconds / seconds > 0.96
    }
    measured.push({ rates, undisturbed })
  }
  const quiet = measured.filter(({ undisturbed }) => undisturbed)
  const counted = severalThreads || quiet.length < rounds / 4 ? measured : quiet
  return Object.fromEntries(
    turns.map(({ name }) => [name, counted.map(({ rates }) => rates[name] ?? Number.NaN)]),
  )
}

/**
 * How often a contender does its work in one turn, found in a run that also warms its code up.
 *
 * @param {Contender} contender
 */
async function timesPerTurn(contender) {
  let times = 1
  for (let warm = false; ; ) {
    const milliseconds = (await timed(contender, times)).seconds * 1000
    if (milliseconds < turnMilliseconds / 2) times *= 2
    else {
      times = Math.ceil((times * turnMilliseconds) / milliseconds)
      if (warm) return times
      warm = true
    }
  }
}

/**
 * @param {Contender} contender
 * @param {number} times
 */
async function timed(contender, times) {
  await collectNursery()
  const cpu = process.cpuUsage()
  const start = performance.now()
  await contender(times)
  await collectNursery()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { seconds, cpuSeconds: (user + system) / 1e6 }
}

async function collectNursery() {
  globalThis.gc?.({ type: 'minor' })
  // What native objects leave behind is freed by a task of its own.
  await setImmediate()
}

/**
 * The row of one contender beside another of the same rounds.
 *
 * @param {Rates} rates
 * @param {{ name: string, unit: string, of: string, over: string, target?: Target }} what
 * @returns {Row}
 */
export function ratioRow(rates, { name, unit, of, over, target }) {
  const values = rates[of] ?? []
  const baselines = rates[over] ?? []
  const ratios = values.map((value, round) => value / (baselines[round] ?? Number.NaN))
  const ratio = quantile(ratios, 0.5)
  return {
    name,
    unit,
    value: quantile(values, 0.5),
    spread: spreadOf(ratios),
    baseline: { name: over, value: quantile(baselines, 0.5) },
    ratio,
    target,
    met: isMet(ratio, target),
  }
}

/**
 * The same, for how long one operation takes instead of how many there are in a second.
 *
 * @param {Rates} rates
 * @param {{ name: string, of: string, over: string, target?: Target }} what
 * @returns {Row}
 */
export function durationRow(rates, what) {
  const microseconds = Object.fromEntries(
    Object.entries(rates).map(([name, perSecond]) => [name, perSecond.map((rate) => 1e6 / rate)]),
  )
  return ratioRow(microseconds, { ...what, unit: 'µs' })
}

/**
 * The row of something that is compared with nothing.
 *
 * @param {readonly number[]} values one for each round
 * @param {{ name: string, unit: string, target?: Target }} what
 * @returns {Row}
 */
export function valueRow(values, { name, unit, target }) {
  const value = quantile(values, 0.5)
  return {
    name,
    unit,
    value,
    spread: spreadOf(values),
    baseline: undefined,
    ratio: undefined,
    target,
    met: isMet(value, target),
  }
}

/**
 * @param {number} value
 * @param {Target | undefined} target
 */
function isMet(value, target) {
  if (target === undefined) return undefined
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost
}

/** @param {readonly number[]} values */
function spreadOf(values) {
  return { low: quantile(values, 0.25), high: quantile(values, 0.75), rounds: values.length }
}

/**
 * @param {readonly number[]} values
 * @param {number} fraction
 */
function quantile(values, fraction) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * fraction
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at % 1)
}
