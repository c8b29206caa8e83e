import { createHash } from 'node:crypto'
import { algorithms, clientAssertion, createSigner, type SignRequest } from '@countersign/core'
import { describe, expect, it } from 'vitest'
import { backend, signRequest } from './backend.ts'
import { keyPair, runnable } from './keys.ts'
import { refusal } from './outcome.ts'
import { verifiesOctetsWithNode } from './verification.ts'

const input = Buffer.from('eyJhbGciOiJFUzI1NiJ9.e30')

describe('what a backend is asked to sign', () => {
  it.each(runnable)(
    'is for %s the signing input, and its digest where there is a hash',
    async (alg) => {
      const expected = { ES: 'sha', RS: 'sha', PS: 'sha' }[alg.slice(0, 2)]
      const hash = expected && `${expected}${/\d{3}/.exec(alg)?.[0]}`
      const seen: SignRequest[] = []
      const signer = createSigner(
        backend(alg, {
          sign: async (request) => {
            seen.push(request)
            return signRequest(alg, keyPair(alg), request)
          },
        }),
      )
      await signer.sign(input)
      const [request] = seen
      expect(request?.message).toEqual(new Uint8Array(input))
      expect(request?.hash).toBe(hash)
      expect(request?.hash).toBe(algorithms[alg].hash)
      const digest = hash && new Uint8Array(createHash(hash).update(input).digest())
      expect(request?.digest).toEqual(digest)
    },
  )

  it('is what the caller passed, whatever the caller does to it later', async () => {
    const message = Buffer.from('first')
    const digest = new Uint8Array(createHash('sha256').update('first').digest())
    const signer = createSigner(
      backend('ES256', {
        sign: async (request) => {
          message.set(Buffer.from('later'))
          expect(Buffer.from(request.message).toString()).toBe('first')
          expect(request.digest).toEqual(digest)
          return signRequest('ES256', keyPair('ES256'), request)
        },
      }),
    )
    const signature = await signer.sign(message)
    expect(verifiesOctetsWithNode(Buffer.from('first'), signature, signer.publicJwk)).toBe(true)
  })

  it('is refused when the backend changed it before it signed', async () => {
    const signer = createSigner(
      backend('ES256', {
        sign: (request) => {
          request.message.set([0])
          return signRequest('ES256', keyPair('ES256'), request)
        },
      }),
    )
    expect((await refusal(() => signer.sign(input))).code).toBe('ERR_SIGNER_INTEGRITY')
  })

  it('is in memory of its own, and so is the signature that the caller gets', async () => {
    const pooled = Buffer.from('a view into the pool of Node.js')
    expect(pooled.buffer.byteLength).toBeGreaterThan(pooled.byteLength)
    const seen: Uint8Array[] = []
    const signer = createSigner(
      backend('ES256', {
        sign: (request) => {
          seen.push(request.message, request.digest ?? new Uint8Array())
          return Buffer.concat([signRequest('ES256', keyPair('ES256'), request)])
        },
      }),
    )
    seen.push(await signer.sign(pooled))
    await clientAssertion(signer, { clientId: 'c', audience: 'a' })
    expect(seen).toHaveLength(5)
    for (const octets of seen) {
      expect(octets.buffer.byteLength).toBe(octets.byteLength)
      expect(Buffer.isBuffer(octets)).toBe(false)
    }
  })

  it('gives out the signature that was checked, whatever the backend does to its own', async () => {
    const made: Uint8Array[] = []
    const signer = createSigner(
      backend('ES256', {
        sign: (request) => {
          const signature = signRequest('ES256', keyPair('ES256'), request)
          made.push(signature)
          return signature
        },
      }),
    )
    const signature = await signer.sign(input)
    made[0]?.fill(0)
    expect(verifiesOctetsWithNode(input, signature, signer.publicJwk)).toBe(true)
  })

  it('may be no octets at all, or 64 kB', async () => {
    const signer = createSigner(backend('RS256'))
    for (const octets of [new Uint8Array(0), new Uint8Array(65_536).fill(1)]) {
      expect(await signer.sign(octets)).toHaveLength(256)
    }
  })

  it('is handed over as one request per call, under concurrency too', async () => {
    const requests = new Set<SignRequest>()
    const signer = createSigner(
      backend('ES256', {
        sign: async (request) => {
          requests.add(request)
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
          return signRequest('ES256', keyPair('ES256'), request)
        },
      }),
    )
    const inputs = Array.from({ length: 200 }, (_, index) => Buffer.from(`input ${index}`))
    // Each comes back verified against its own input, or is refused.
    const signatures = await Promise.all(inputs.map((each) => signer.sign(each)))
    expect(new Set(signatures.map((each) => Buffer.from(each).toString('hex'))).size).toBe(200)
    expect(requests.size).toBe(200)
  })

  it('calls the backend with itself as "this", as a class needs it', async () => {
    class Vault {
      readonly name = 'class-vault'
      readonly alg = 'ES256'
      readonly #pair = keyPair('ES256')
      readonly publicKey = this.#pair.publicKey
      sign(request: SignRequest): Uint8Array {
        return signRequest('ES256', this.#pair, request)
      }
    }
    expect(await createSigner(new Vault()).sign(input)).toHaveLength(64)
  })
})
