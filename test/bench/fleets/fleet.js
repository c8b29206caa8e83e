// @ts-check
import { tokenCache } from '@countersign/oauth/internal'
import {
  meter,
  sharedStore,
  throttled,
  tokenResponseOf,
  tooManyRequests,
  limits as usualLimits,
} from './services.js'
import { withVirtualTime } from './virtual-time.js'

/** @import { VirtualTime } from './virtual-time.js' */

/**
 * @typedef {object} FleetOptions
 * @property {number} replicas
 * @property {number} lifetimeSeconds  of the access tokens
 * @property {boolean} store  whether the replicas share their token
 * @property {boolean} attestation  whether a replica authenticates with its own key, which the key service certifies
 *   once in each {@link attestationSeconds}
 * @property {number} [hours]  how long the fleet runs; 24 by default
 * @property {number} [seed]
 * @property {Partial<typeof usualLimits>} [limits]
 */

/**
 * @typedef {object} FleetResult
 * @property {import('./services.js').Load} signatures
 * @property {import('./services.js').Load} tokenRequests
 * @property {number} failedCalls  calls of the application that got no token
 */

/**
 * How a replica gets its tokens.
 *
 * @typedef {object} ReplicaTokens
 * @property {() => Promise<void>} get  what the application awaits before a call
 * @property {() => boolean} isDue  whether a call at this time would start a renewal, or wait for one
 */

export const attestationSeconds = 4 * 3600
/** Each replica calls the resource this often. */
const callSeconds = 1

/**
 * Restarts of replicas: the seconds of the day at which they start and end, and how many replicas are affected. A
 * rolling deployment restarts them one after the other, the loss of a zone at once.
 */
const restarts = [
  { startSecond: 0, seconds: 0, share: 1, what: 'cold start of all replicas' },
  { startSecond: 6 * 3600, seconds: 600, share: 1, what: 'rolling deployment in 10 minutes' },
  { startSecond: 12 * 3600, seconds: 0, share: 1 / 3, what: 'loss of a zone, a third at once' },
  { startSecond: 18 * 3600, seconds: 600, share: 1, what: 'rolling deployment in 10 minutes' },
]

/**
 * Simulates a fleet with the product's token cache, its delays and its retries, on a virtual clock.
 *
 * Calls that get a cached token without further effects are not simulated one by one.
 *
 * @param {FleetOptions} options
 * @returns {Promise<FleetResult>}
 */
export function simulate(options) {
  const { seed = 1 } = options
  return withVirtualTime({ seed }, async (time) => {
    const services = fleetServices(time, options)
    return await runFleet(time, options, services, (clock) => cacheOf(clock, services))
  })
}

/** @typedef {ReturnType<typeof fleetServices>} FleetServices */

/**
 * The services of a fleet, and what each replica does to get a token from them.
 *
 * @param {VirtualTime} time
 * @param {FleetOptions} options
 */
export function fleetServices(time, options) {
  const { lifetimeSeconds, store, attestation } = options
  const limits = { ...usualLimits, ...options.limits }
  const signatures = meter(time, limits.signaturesPerSecond)
  const tokenRequests = meter(time, limits.tokenRequestsPerSecond)
  const shared = store ? sharedStore(time, { lifetimeSeconds }) : undefined
  let serial = 0

  async function sign() {
    await time.sleep(limits.signatureMilliseconds)
    if (!signatures.admit()) throw throttled()
  }

  /** Grants a token, or `undefined` when there are too many requests. */
  function grant() {
    if (!tokenRequests.admit()) return undefined
    serial += 1
    return { serial, expiresAt: time.now() + lifetimeSeconds * 1000 }
  }

  /** The requests of one replica. */
  function replica() {
    let attestedUntil = 0
    let known = 0
    async function renew() {
      if (!attestation) await sign()
      else if (time.now() >= attestedUntil) {
        await sign()
        attestedUntil = time.now() + attestationSeconds * 1000
      }
      await time.sleep(limits.tokenRequestMilliseconds)
      const token = grant()
      if (token === undefined) throw tooManyRequests(limits.retryAfterSeconds)
      return token
    }
    return {
      async request() {
        const token = await (shared === undefined ? renew() : shared.newer(known, renew))
        known = token.serial
        return tokenResponseOf(time, token)
      },
    }
  }

  return { limits, sign, grant, replica, signatures, tokenRequests }
}

/**
 * The product's token cache over simulated requests.
 *
 * @param {() => number} now
 * @param {FleetServices} services
 * @returns {ReplicaTokens}
 */
function cacheOf(now, services) {
  const { request } = services.replica()
  const cache = tokenCache({
    issuer: 'https://as.test',
    clientId: 'agent',
    request,
    tokenResponse: undefined,
    scope: undefined,
    maxScope: undefined,
    retries: 2,
    timeoutSeconds: 30,
    now,
  })
  /** @type {Awaited<ReturnType<typeof cache.get>> | undefined} */
  let last
  return {
    async get() {
      last = await cache.get()
    },
    isDue: () => last === undefined || !last.isUsable() || last.isOld(),
  }
}

/**
 * Runs the calls and the restarts of a fleet.
 *
 * @param {VirtualTime} time
 * @param {FleetOptions} options
 * @param {FleetServices} services
 * @param {(now: () => number) => ReplicaTokens} startReplica
 * @param {{ everyCall?: boolean }} [how]  whether calls without effects are made as well
 * @returns {Promise<FleetResult>}
 */
export async function runFleet(time, options, services, startReplica, { everyCall = false } = {}) {
  const { replicas, hours = 24 } = options
  const end = hours * 3600 * 1000
  let failedCalls = 0
  /** @type {object[]} the process of each replica; a restart replaces it */
  const running = []

  /** @param {number} index */
  function start(index) {
    const process = {}
    running[index] = process
    let lookAhead = 0
    const tokens = startReplica(() => time.now() + lookAhead)

    const call = async () => {
      if (running[index] !== process) return
      try {
        await tokens.get()
      } catch {
        if (running[index] === process) failedCalls += 1
      }
      const calls = everyCall ? 1 : callsUntilDue()
      time.after(calls * callSeconds * 1000, call)
    }

    /** How many calls later the first one is that may have an effect, found by halving the interval. */
    function callsUntilDue() {
      /** @param {number} calls */
      const isDueAfter = (calls) => {
        lookAhead = calls * callSeconds * 1000
        const isDue = tokens.isDue()
        lookAhead = 0
        return isDue
      }
      let [low, high] = [0, Math.ceil(options.lifetimeSeconds / callSeconds)]
      while (high - low > 1) {
        const middle = (low + high) >> 1
        if (isDueAfter(middle)) high = middle
        else low = middle
      }
      return high
    }

    time.after(time.random() * callSeconds * 1000, call)
  }

  for (const { startSecond, seconds, share } of restarts) {
    const affected = Math.ceil(replicas * share)
    for (let index = 0; index < affected; index++) {
      const second = startSecond + (seconds * index) / affected
      if (second < hours * 3600) time.after(second * 1000, () => start(index))
    }
  }
  await time.runUntil(end)
  return {
    signatures: services.signatures.load(),
    tokenRequests: services.tokenRequests.load(),
    failedCalls,
  }
}
