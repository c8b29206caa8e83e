import { createHash } from 'node:crypto'
import { algorithms, createSigner, type SignRequest } from '@countersign/core'
import { describe, expect, it } from 'vitest'
import { backend, signRequest } from './backend.ts'
import { keyPair, runnable } from './keys.ts'

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
      expect(request?.message).toBe(input)
      expect(request?.hash).toBe(hash)
      expect(request?.hash).toBe(algorithms[alg].hash)
      expect(request?.digest).toEqual(hash && createHash(hash).update(input).digest())
    },
  )

  it('computes the digest when it is first read, and only then', async () => {
    const message = Buffer.from('first')
    const sha256 = (text: string) => createHash('sha256').update(text).digest()
    const signer = createSigner(
      backend('ES256', {
        sign: (request) => {
          message.set(Buffer.from('later'))
          expect(request.digest).toEqual(sha256('later'))
          message.set(Buffer.from('other'))
          expect(request.digest).toEqual(sha256('later'))
          return signRequest('ES256', keyPair('ES256'), request)
        },
      }),
    )
    expect(await signer.sign(message)).toHaveLength(64)
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
