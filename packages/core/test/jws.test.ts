import { randomBytes } from 'node:crypto'
import { createSigner, signJws } from '@countersign/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { thrown } from './outcome.ts'
import { verifiedByJose, verifiesWithNode } from './verification.ts'

const signer = createSigner(backend('EdDSA'))

describe('a JWS', () => {
  it('carries its payload octet for octet under alg and kid', async () => {
    const payloads = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: 'grapheme' }))
    await fc.assert(
      fc.asyncProperty(payloads, async (payload) => {
        const jws = await signJws(signer, payload)
        expect(jws).toMatch(/^[\w-]+\.[\w-]*\.[\w-]+$/)
        const [header, octets] = jws.split('.').map((part) => Buffer.from(part, 'base64url'))
        expect(JSON.parse(String(header))).toEqual({ alg: 'EdDSA', kid: signer.kid })
        expect(octets).toEqual(Buffer.from(payload as string))
        expect(verifiesWithNode(jws, signer.publicJwk)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  it('of 1 MB, with further header members, is what jose reads', async () => {
    const payload = randomBytes(1024 * 1024).toString('hex')
    const jws = await signJws(signer, payload, { header: { typ: 'JWT', cty: 'text' } })
    const verified = await verifiedByJose(jws, signer.publicJwk)
    expect(verified.payload).toBe(payload)
    expect(verified.header).toEqual({ alg: 'EdDSA', kid: signer.kid, typ: 'JWT', cty: 'text' })
  })

  it('signs a view into a buffer as that view', async () => {
    const jws = await signJws(signer, Buffer.from('before-payload-after').subarray(7, 14))
    expect(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()).toBe('payload')
  })

  it.each<[unknown]>([[undefined], [null], [{}], [1], [new ArrayBuffer(2)], [[1, 2]]])(
    'of %o is a TypeError',
    async (payload) => {
      expect(await thrown(() => signJws(signer, payload as string))).toBeInstanceOf(TypeError)
    },
  )

  it('rejects with the reason of an abort', async () => {
    const signal = AbortSignal.abort('enough')
    expect(await thrown(() => signJws(signer, 'x', { signal }))).toBe('enough')
  })
})
