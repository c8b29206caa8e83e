import { clientAssertion, createSigner } from '@countersign/core'
import { expect, it } from 'vitest'
import { backend } from './backend.ts'
import { decoded } from './verification.ts'

// What is claimed here is about the claims; 100 000 signatures would only take time.
const signer = createSigner(backend('ES256', { sign: () => new Uint8Array(64) }), { verify: false })

const jti = async () =>
  String(decoded(await clientAssertion(signer, { clientId: 'c', audience: 'a' })).claims['jti'])

it('no two of 100 000 assertions have the same jti, made one by one or all at once', async () => {
  const ids = new Set<string>()
  for (let round = 0; round < 50_000; round++) ids.add(await jti())
  for (const id of await Promise.all(Array.from({ length: 50_000 }, jti))) ids.add(id)
  expect(ids.size).toBe(100_000)
})

it('a jti is 128 bits, and each of them is set in about half of the assertions', async () => {
  const count = 20_000
  const ones = new Array<number>(128).fill(0)
  for (const id of await Promise.all(Array.from({ length: count }, jti))) {
    const octets = Buffer.from(id, 'base64url')
    expect(octets).toHaveLength(16)
    expect(octets.toString('base64url')).toBe(id)
    for (let bit = 0; bit < 128; bit++) {
      if ((octets[bit >> 3] ?? 0) & (1 << (bit & 7))) ones[bit] = (ones[bit] ?? 0) + 1
    }
  }
  // Eight standard deviations around the half.
  for (const set of ones) expect(Math.abs(set - count / 2)).toBeLessThan(4 * Math.sqrt(count))
})
