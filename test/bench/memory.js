// @ts-check
import { clientAssertion } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { newKey } from './keys.js'
import { settled, valueRow } from './measure.js'

const slices = 8
const assertionsPerSlice = 25_000

/**
 * The growth of the heap, external memory included, and of the resident memory after many assertions.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  const signer = await localSigner({ key: newKey('ES256').privateKey })
  const make = async () => {
    for (let count = 0; count < assertionsPerSlice; count++) {
      await clientAssertion(signer, {
        clientId: 'billing-agent',
        audience: 'https://as.example.com',
      })
    }
    return settled()
  }
  // The first slice fills what is filled once: compiled code, the pools of Node.js and of the allocator.
  await make()
  const before = await make()
  let after = before
  for (let slice = 0; slice < slices; slice++) after = await make()
  const total = (slices * assertionsPerSlice).toLocaleString('en-US')
  yield valueRow([(after.heap - before.heap) / 1024], {
    name: `heap grown by ${total} assertions`,
    unit: 'KiB',
    target: { atMost: 256 },
  })
  yield valueRow([(after.rss - before.rss) / 1024], {
    name: `resident memory grown by ${total} assertions`,
    unit: 'KiB',
    target: { atMost: 8192 },
  })
}
