// @ts-check
import { clientAssertion } from '@countersign/core'
import { backends, openKey } from './clouds/open.js'
import { durationRow, takeTurns, valueRow } from './measure.js'
import { millisecondsOf } from './process-time.js'

/** @import { Row } from './measure.js' */

const latencyMilliseconds = 5
const assertions = 100
const imports = 11
const message = Buffer.alloc(320, 'a')

/**
 * A verified signature against the bare call of the vendor's SDK, at a service that answers after 5 ms; the number of
 * calls for an assertion; and the time to import a backend.
 *
 * @returns {AsyncGenerator<Row>}
 */
export async function* run() {
  for (const vendor of /** @type {(keyof typeof backends)[]} */ (Object.keys(backends))) {
    const backend = backends[vendor]
    const { signer, bare, signatures, close } = await openKey(vendor, latencyMilliseconds)
    try {
      const rates = await takeTurns(
        {
          ours: async (times) => {
            while (times-- > 0) await signer.sign(message)
          },
          'the bare SDK': async (times) => {
            while (times-- > 0) await bare(message)
          },
        },
        { rounds: 41, severalProcesses: true },
      )
      yield durationRow(rates, {
        name: `${backend}, ES256, ${latencyMilliseconds} ms away, one caller`,
        of: 'ours',
        over: 'the bare SDK',
        target: { atMost: 1.03 },
      })
      const before = await signatures()
      for (let made = 0; made < assertions; made++) {
        await clientAssertion(signer, { clientId: 'agent', audience: 'https://as.example.com' })
      }
      yield valueRow([((await signatures()) - before) / assertions], {
        name: `${backend}, calls for each assertion`,
        unit: 'calls',
        target: { atMost: 1 },
      })
    } finally {
      close()
    }
    yield valueRow(importing(`@countersign/${backend}`), {
      name: `${backend}, import, above bare node`,
      unit: 'ms',
    })
  }
}

/** @param {string} specifier */
function importing(specifier) {
  const program = `await import(${JSON.stringify(import.meta.resolve(specifier))})`
  const run = (/** @type {string} */ source) =>
    millisecondsOf(['--input-type=module', '--eval', source])
  return Array.from({ length: imports }, () => run(program) - run(''))
}
