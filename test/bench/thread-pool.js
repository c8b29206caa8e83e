// @ts-check
import { sign } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { clientAssertion } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { newKey } from './keys.js'
import { ratioRow, takeTurns, valueRow } from './measure.js'

const callers = 32
const options = { clientId: 'billing-agent', audience: 'https://as.example.com' }

/**
 * RS256 for many callers at once: what the thread pool gives, and whether the event loop stays free.
 *
 * @returns {Promise<import('./measure.js').Row[]>}
 */
export async function run() {
  const { privateKey } = newKey('RS256')
  const signer = await localSigner({ key: privateKey, alg: 'RS256' })
  const assertion = await clientAssertion(signer, options)
  const signingInput = Buffer.from(assertion.slice(0, assertion.lastIndexOf('.')))

  /** @type {import('./measure.js').Contender} */
  const allCallers = async (times) => {
    let left = times
    const caller = async () => {
      while (left-- > 0) await clientAssertion(signer, options)
    }
    await Promise.all(Array.from({ length: callers }, caller))
  }
  const oneThread = 'crypto.sign, one thread'
  const concurrent = `${callers} callers`
  const rates = await takeTurns(
    {
      [oneThread]: (times) => {
        for (let time = 0; time < times; time++) sign('sha256', signingInput, privateKey)
      },
      [concurrent]: allCallers,
    },
    { severalThreads: true },
  )

  /** @type {number[]} */
  const delays = []
  for (let round = 0; round < 9; round++) {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    await allCallers(1500)
    delay.disable()
    delays.push(delay.percentile(99) / 1e6)
  }
  const cores = `on ${availableParallelism()} cores`
  return [
    ratioRow(rates, {
      name: `RS256 client assertion, ${callers} callers, ${cores}`,
      unit: 'assertions/s',
      of: concurrent,
      over: oneThread,
      target: { atLeast: 1.8 },
    }),
    valueRow(delays, {
      name: 'event loop delay meanwhile, p99',
      unit: 'ms',
      target: { atMost: 5 },
    }),
  ]
}
