import { createSigner, type SignMessage } from '@countersign/core'
import { describe, expect, it } from 'vitest'
import { backend, signRequest } from './backend.ts'
import { keyPair, runnable } from './keys.ts'
import { everythingShown, published, thrown } from './outcome.ts'

const input = Buffer.from('eyJhbGciOiJFUzI1NiJ9.e30')

function expectOne(messages: readonly SignMessage[], expected: Partial<SignMessage>): void {
  expect(messages).toHaveLength(1)
  const [message] = messages
  expect(message).toEqual({ ...expected, durationSeconds: expect.any(Number) })
  expect(message?.durationSeconds).toBeGreaterThanOrEqual(0)
  expect(message?.durationSeconds).toBeLessThan(10)
}

describe('the channel countersign:sign', () => {
  it.each(runnable)('tells of a signature with %s, and of nothing secret', async (alg) => {
    const signer = createSigner(backend(alg), { kid: 'k1' })
    let signature: Uint8Array = new Uint8Array()
    const messages = await published(async () => {
      signature = await signer.sign(input)
    })
    expectOne(messages, { backend: 'test-vault', alg, kid: 'k1', outcome: 'signed' })
    const shown = everythingShown(messages)
    for (const encoding of ['base64url', 'base64', 'hex', 'latin1'] as const) {
      expect(shown).not.toContain(Buffer.from(signature).toString(encoding))
      expect(shown).not.toContain(input.toString(encoding))
    }
  })

  it("tells of a failure and its code, without the vendor's error", async () => {
    const sign = () => Promise.reject(new Error('MARKER'))
    const describeError = () =>
      ({ code: 'ERR_SIGNER_ACCESS_DENIED', message: 'MARKER too' }) as const
    const signer = createSigner(backend('ES256', { sign, describeError }), { kid: 'k1' })
    const messages = await published(() => thrown(() => signer.sign(input)))
    const code = 'ERR_SIGNER_ACCESS_DENIED'
    expectOne(messages, { backend: 'test-vault', alg: 'ES256', kid: 'k1', outcome: 'failed', code })
    expect(everythingShown(messages)).not.toContain('MARKER')
  })

  it.each([
    ['ERR_SIGNER_INTEGRITY', () => new Uint8Array(64)],
    ['ERR_SIGNER_TIMEOUT', () => new Promise<Uint8Array>(() => {})],
    [
      'ERR_SIGNER_BACKEND',
      () => {
        throw new Error('down')
      },
    ],
  ] as const)('tells of a failure with %s', async (code, sign) => {
    const signer = createSigner(backend('ES256', { sign }), { kid: 'k', timeoutSeconds: 0.01 })
    const messages = await published(() => thrown(() => signer.sign(input)))
    expectOne(messages, { backend: 'test-vault', alg: 'ES256', kid: 'k', outcome: 'failed', code })
  })

  it('tells of a failure that the backend fails to name', async () => {
    const describeError = () => {
      throw new Error('a bug')
    }
    const sign = () => Promise.reject(new Error('down'))
    const signer = createSigner(backend('ES256', { sign, describeError }), { kid: 'k' })
    const messages = await published(() => thrown(() => signer.sign(input)))
    const code = 'ERR_SIGNER_BACKEND'
    expectOne(messages, { backend: 'test-vault', alg: 'ES256', kid: 'k', outcome: 'failed', code })
  })

  it('tells of an abort, before the call and during it, without the reason', async () => {
    const sign = () => new Promise<Uint8Array>(() => {})
    const signer = createSigner(backend('ES256', { sign }), { kid: 'k' })
    const expected = { backend: 'test-vault', alg: 'ES256', kid: 'k', outcome: 'aborted' } as const
    const before = await published(() =>
      thrown(() => signer.sign(input, { signal: AbortSignal.abort('MARKER') })),
    )
    expectOne(before, expected)
    const controller = new AbortController()
    const during = await published(() => {
      const call = thrown(() => signer.sign(input, { signal: controller.signal }))
      controller.abort('MARKER')
      return call
    })
    expectOne(during, expected)
    expect(everythingShown([before, during])).not.toContain('MARKER')
  })

  it('measures the time that the backend took', async () => {
    const signer = createSigner(
      backend('ES256', {
        sign: async (request) => {
          await new Promise((resolve) => setTimeout(resolve, 30))
          return signRequest('ES256', keyPair('ES256'), request)
        },
      }),
    )
    const [message] = await published(() => signer.sign(input))
    expect(message?.durationSeconds).toBeGreaterThan(0.025)
  })

  it('has one message for each of many concurrent signatures', async () => {
    const signer = createSigner(backend('RS256'))
    const messages = await published(() =>
      Promise.all(Array.from({ length: 50 }, () => signer.sign(input))),
    )
    expect(messages.map(({ outcome }) => outcome)).toEqual(Array(50).fill('signed'))
  })
})
