// @ts-check
import { cpus } from 'node:os'
import { performance } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'

/**
 * A row of the table.
 *
 * @typedef {object} Row
 * @property {string} name what is measured
 * @property {string} unit
 * @property {number} value median over the rounds
 * @property {Spread} spread of the ratio where there is one, else of the value
 * @property {Baseline | undefined} baseline the value is compared with it
 * @property {number | undefined} ratio median of the rounds' ratios of value to baseline
 * @property {Target | undefined} target for the ratio where there is one, else for the value
 * @property {boolean | undefined} met
 */

/** @typedef {{ name: string, value: number }} Baseline */
/** @typedef {{ atLeast: number } | { atMost: number }} Target */

/**
 * The first and the third quartile, and the number of rounds.
 *
 * @typedef {{ low: number, high: number, rounds: number }} Spread
 */

/**
 * One way to do the same work: it does it the given number of times in sequence.
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
 * The young generation of the heap is collected before and after each turn, so that a contender pays for its own
 * garbage only. Every second round goes backwards, so that no contender always follows the same one.
 *
 * @param {Record<string, Contender>} contenders
 * @param {{ rounds?: number, severalProcesses?: boolean, processorTime?: boolean }} [options] with `severalProcesses`,
 *   for contenders whose work is done in another process, every round counts; with `processorTime`, for contenders that
 *   wait for nothing, rates are per second of processor time, which other processes affect little, and every round counts
 * @returns {Promise<Rates>}
 */
export async function takeTurns(
  contenders,
  { rounds = 25, severalProcesses = false, processorTime = false } = {},
) {
  const seconds = processorTime ? processorSecondsOf : secondsOf
  /** @type {{ name: string, contender: Contender, times: number }[]} */
  const turns = []
  for (const [name, contender] of Object.entries(contenders)) {
    turns.push({ name, contender, times: await timesPerTurn(contender) })
  }
  let forwards = false
  const inTurn = async () => {
    forwards = !forwards
    /** @type {Record<string, number>} */
    const rates = {}
    for (const { name, contender, times } of forwards ? turns : turns.toReversed()) {
      rates[name] = times / (await seconds(contender, times))
    }
    return rates
  }
  const counted =
    severalProcesses || processorTime
      ? await repeated(rounds, inTurn)
      : await quietRounds(rounds, inTurn)
  return Object.fromEntries(
    turns.map(({ name }) => [name, counted.map((rates) => rates[name] ?? Number.NaN)]),
  )
}

/**
 * @template Result
 * @param {number} rounds
 * @param {() => Promise<Result>} measure
 */
async function repeated(rounds, measure) {
  /** @type {Result[]} */
  const results = []
  while (results.length < rounds) results.push(await measure())
  return results
}

/**
 * Repeats a measurement until there are enough rounds in which other processes used little of the processors.
 *
 * If three times as many rounds are not enough, because the machine is never quiet, all rounds count.
 *
 * @template Result
 * @param {number} rounds
 * @param {() => Promise<Result>} measure
 * @returns {Promise<Result[]>}
 */
export async function quietRounds(rounds, measure) {
  /** @type {Result[]} */
  const all = []
  /** @type {Result[]} */
  const quiet = []
  while (quiet.length < rounds && all.length < 3 * rounds) {
    const before = usage()
    const result = await measure()
    const after = usage()
    const others = after.everyone - before.everyone - (after.own - before.own)
    all.push(result)
    if (others < 0.08 * (after.at - before.at)) quiet.push(result)
  }
  return quiet.length < rounds / 2 ? all : quiet
}

/** Processor time in milliseconds, of this process and of all. */
function usage() {
  const { user, system } = process.cpuUsage()
  const everyone = cpus().reduce(
    (sum, { times }) => sum + times.user + times.nice + times.sys + times.irq,
    0,
  )
  return { at: performance.now(), own: (user + system) / 1000, everyone }
}

/**
 * Finds how often a contender does its work in one turn, in a run that also warms up its code.
 *
 * @param {Contender} contender
 */
async function timesPerTurn(contender) {
  let times = 1
  for (let warm = false; ; ) {
    const milliseconds = (await secondsOf(contender, times)) * 1000
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
async function secondsOf(contender, times) {
  await collectNursery()
  const start = performance.now()
  await contender(times)
  await collectNursery()
  return (performance.now() - start) / 1000
}

/**
 * @param {Contender} contender
 * @param {number} times
 */
async function processorSecondsOf(contender, times) {
  await collectNursery()
  const before = process.cpuUsage()
  await contender(times)
  await collectNursery()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

async function collectNursery() {
  globalThis.gc?.({ type: 'minor' })
  // Node.js frees the memory of native objects in another task.
  await setImmediate()
}

/**
 * The row of one contender compared with another of the same rounds.
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
 * The same, with the duration of one operation in place of the rate.
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
 * The row of a value without a comparison.
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
export function quantile(values, fraction) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * fraction
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at % 1)
}

/** The memory of the process after garbage collection, in octets. */
export async function settled() {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, rss }
}
