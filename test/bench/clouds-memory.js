// @ts-check
import { backends, openKey } from './clouds/open.js'
import { settled, valueRow } from './measure.js'
import { signing } from './signing.js'

const signatures = 100_000
const callers = 16
const message = Buffer.alloc(320, 'a')

/**
 * The growth of the heap after many signatures by each key service.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  for (const vendor of /** @type {(keyof typeof backends)[]} */ (Object.keys(backends))) {
    const { signer, close } = await openKey(vendor, 0)
    try {
      const sign = signing(signer, message, callers)
      // The first signatures fill what is filled once: pools, caches, compiled code.
      await sign(signatures / 5)
      const before = await settled()
      await sign(signatures)
      const after = await settled()
      yield valueRow([(after.heap - before.heap) / 1024], {
        name: `${backends[vendor]}, heap grown by ${signatures.toLocaleString('en-US')} signatures`,
        unit: 'KiB',
        target: { atMost: 1024 },
      })
    } finally {
      close()
    }
  }
}
