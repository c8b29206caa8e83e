// @ts-check
import { sign } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { clientAssertion } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { newKey } from './keys.js'
import { quietRounds, ratioRow, takeTurns, valueRow } from './measure.js'

const callers = 32
const options = { clientId: 'billing-agent', audience: 'https://as.example.com' }

/**
 * RS256 for many callers at once: the gain from the thread pool, and the delay of the event loop meanwhile.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  const { privateKey } = newKey('RS256')
  const signer = await localSigner({ key: privateKey, alg: 'RS256' })
  const assertion = await clientAssertion(signer, options)
  const signingInput = Buffer.from(assertion.slice(0, assertion.lastIndexOf('.')))

  const signOnPool = () =>
    new Promise((resolve, reject) => {
      sign('sha256', signingInput, privateKey, (error, signature) =>
        error === null ? resolve(signature) : reject(error),
      )
    })
  /** @type {(make: () => Promise<unknown>) => import('./measure.js').Contender} */
  const shared = (make) => async (times) => {
    let left = times
    const caller = async () => {
      while (left-- > 0) await make()
    }
    await Promise.all(Array.from({ length: callers }, caller))
  }
  const contenders = {
    'crypto.sign, one thread': (/** @type {number} */ times) => {
      for (let time = 0; time < times; time++) sign('sha256', signingInput, privateKey)
    },
    'crypto.sign, thread pool': shared(signOnPool),
    clientAssertion: shared(() => clientAssertion(signer, options)),
  }
  const rates = await takeTurns(contenders)
  const name = `RS256 client assertion, ${callers} callers, ${availableParallelism()} cores`
  const what = { name, unit: 'assertions/s', of: 'clientAssertion' }
  yield ratioRow(rates, { ...what, over: 'crypto.sign, one thread', target: { atLeast: 1.8 } })
  yield ratioRow(rates, { ...what, over: 'crypto.sign, thread pool' })

  const delays = await quietRounds(9, async () => {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    await contenders.clientAssertion(1500)
    delay.disable()
    return delay.percentile(99) / 1e6
  })

  yield valueRow(delays, {
    name: 'event loop delay meanwhile, p99',
    unit: 'ms',
    target: { atMost: 5 },
  })
}
