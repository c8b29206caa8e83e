// @ts-check
import { syncBuiltinESMExports } from 'node:module'
import timersPromises from 'node:timers/promises'

/**
 * A clock that jumps from event to event, in place of the clocks and timers of the process.
 *
 * @typedef {object} VirtualTime
 * @property {() => number} now  milliseconds since the start
 * @property {(milliseconds: number, action: () => void) => Timer} after  runs an action later
 * @property {(milliseconds: number) => Promise<void>} sleep
 * @property {() => number} random  from 0 to 1, the same sequence for the same seed
 * @property {(endMilliseconds: number) => Promise<void>} runUntil  runs the events until this time
 */

/** @typedef {{ at: number, order: number, action: () => void, cancelled: boolean, unref: () => void }} Timer */

/**
 * Runs code with a virtual clock: `performance.now`, `setTimeout` and `clearTimeout`, `setTimeout` of
 * `node:timers/promises`, and `Math.random` belong to the simulation until it ends.
 *
 * @template Result
 * @param {{ seed: number, turns?: number }} options  `turns` of the event loop after each event; more than 1 for code
 *   whose promises wait for the event loop, such as the body of a `Response`
 * @param {(time: VirtualTime) => Promise<Result>} simulation
 * @returns {Promise<Result>}
 */
export async function withVirtualTime({ seed, turns = 1 }, simulation) {
  const real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    random: Math.random,
    now: performance.now,
    sleep: timersPromises.setTimeout,
  }
  const queue = eventQueue()
  let now = 0
  let order = 0

  /** @type {VirtualTime['after']} */
  const after = (milliseconds, action) => {
    const timer = { at: now + milliseconds, order: order++, action, cancelled: false, unref() {} }
    queue.add(timer)
    return timer
  }
  /** @type {VirtualTime['sleep']} */
  const sleep = (milliseconds) =>
    new Promise((resolve) => {
      after(milliseconds, resolve)
    })

  /** @type {VirtualTime} */
  const time = {
    now: () => now,
    after,
    sleep,
    random: mulberry32(seed),
    async runUntil(end) {
      for (;;) {
        const next = queue.first()
        if (next === undefined || next.at > end) break
        queue.removeFirst()
        if (next.cancelled) continue
        now = next.at
        next.action()
        for (let turn = 0; turn < turns; turn++) await nextTurn()
      }
      now = end
    },
  }

  Object.assign(globalThis, {
    /** @param {() => void} action @param {number} [milliseconds] */
    setTimeout: (action, milliseconds = 0) => after(milliseconds, action),
    /** @param {Timer | undefined} timer */
    clearTimeout(timer) {
      if (timer !== undefined) timer.cancelled = true
    },
  })
  Math.random = time.random
  performance.now = time.now
  timersPromises.setTimeout = /** @type {any} */ (sleep)
  syncBuiltinESMExports()
  try {
    return await simulation(time)
  } finally {
    Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout })
    Math.random = real.random
    performance.now = real.now
    timersPromises.setTimeout = real.sleep
    syncBuiltinESMExports()
  }
}

const { setImmediate } = globalThis
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/**
 * A generator of 32 bits of state, by Tommy Ettinger, that needs no library.
 *
 * @param {number} seed
 */
function mulberry32(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A binary heap of timers; those of the same time in the order in which they were added. */
function eventQueue() {
  /** @type {Timer[]} */
  const heap = []
  /** @param {Timer} a @param {Timer} b */
  const isBefore = (a, b) => a.at < b.at || (a.at === b.at && a.order < b.order)
  return {
    first: () => heap[0],
    /** @param {Timer} timer */
    add(timer) {
      let index = heap.length
      heap.push(timer)
      for (let parent; index > 0; index = parent) {
        parent = (index - 1) >> 1
        const above = /** @type {Timer} */ (heap[parent])
        if (!isBefore(timer, above)) break
        heap[index] = above
      }
      heap[index] = timer
    },
    removeFirst() {
      const last = heap.pop()
      if (last === undefined || heap.length === 0) return
      let index = 0
      for (;;) {
        let child = 2 * index + 1
        let below = heap[child]
        const right = heap[child + 1]
        if (below !== undefined && right !== undefined && isBefore(right, below)) {
          child += 1
          below = right
        }
        if (below === undefined || !isBefore(below, last)) break
        heap[index] = below
        index = child
      }
      heap[index] = last
    },
  }
}
