import { setTimeout as delay } from 'node:timers/promises'
import { SignerError } from '@countersign/core'
import { type Fault, signing } from './faulty-signer.ts'

export const concurrencyFaults: Fault[] = [
  {
    check: 'concurrent-signatures',
    that: 'keeps the input of the call in a place that all calls share',
    factory: signing('ES256', () => {
      let current = new Uint8Array()
      return async (good, input) => {
        current = new Uint8Array(input)
        await delay(0)
        return good(current)
      }
    }),
  },
  {
    check: 'concurrent-signatures',
    that: 'is busy while it signs',
    factory: signing('ES256', () => {
      let busy = false
      return async (good, input) => {
        if (busy) throw new SignerError('ERR_SIGNER_THROTTLED', 'one at a time')
        busy = true
        await delay(0)
        busy = false
        return good(input)
      }
    }),
    options: { signatures: 1 },
  },
  ...[1, 4, 100].map(
    (slots): Fault => ({
      check: 'signature-unshared',
      that: `returns views of ${slots} recycled ${slots === 1 ? 'buffer' : 'buffers'}`,
      factory: signing('ES256', () => {
        const pool = new Uint8Array(64 * slots)
        let made = 0
        return async (good, input) => {
          const slot = 64 * (made++ % slots)
          pool.set(await good(input), slot)
          return pool.subarray(slot, slot + 64)
        }
      }),
    }),
  ),
]
