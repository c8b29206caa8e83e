// @ts-check
import { simulate } from './fleets/fleet.js'
import { allOptions, modeOf } from './fleets/page.js'
import { valueRow } from './measure.js'

/**
 * A day of a fleet on a virtual clock: signatures, and the token requests of the worst second, which with a store may
 * not exceed one request or twice the mean.
 *
 * Nothing is measured: the numbers are the same in each run. `docs/fleets.md` has those of 10,000 replicas.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  for (const options of allOptions([1, 10, 100, 1000])) {
    const { replicas, lifetimeSeconds, store } = options
    const { signatures, tokenRequests, failedCalls } = await simulate(options)
    const name = `${replicas} replicas, tokens of ${lifetimeSeconds / 60} min, ${modeOf(options)}`
    const mean = tokenRequests.total / (24 * 3600)
    const target = { atMost: Math.max(1, 2 * mean) }
    yield valueRow([signatures.total], { name, unit: 'signatures' })
    yield valueRow([tokenRequests.worstSecond], {
      name,
      unit: 'requests in a second',
      ...(store ? { target } : {}),
    })
    yield valueRow([failedCalls], { name, unit: 'failed calls' })
  }
}
