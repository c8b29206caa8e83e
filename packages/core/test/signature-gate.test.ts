import { randomBytes } from 'node:crypto'
import {
  createSigner,
  type JwsAlgorithm,
  type SignerBackend,
  type SignRequest,
} from '@countersign/core'
import { rawToDer } from '@countersign/core/der'
import { describe, expect, it } from 'vitest'
import { backend, signRequest } from './backend.ts'
import { ecdsaAlgorithms, keyPair, runnable } from './keys.ts'
import { refusal } from './outcome.ts'
import { verifiesOctetsWithNode } from './verification.ts'

const input = Buffer.from('eyJhbGciOiJFUzI1NiJ9.e30')
const widths: Partial<Record<JwsAlgorithm, number>> = {
  ES256: 64,
  ES384: 96,
  ES512: 132,
  ES256K: 64,
  EdDSA: 64,
  Ed25519: 64,
  'ML-DSA-44': 2420,
  'ML-DSA-65': 3309,
  'ML-DSA-87': 4627,
}

type Answer = (signature: Uint8Array, request: SignRequest) => unknown

/** A signer whose backend spoils its signatures, in a promise or at once. */
function spoiled(alg: JwsAlgorithm, answer: Answer, format: 'raw' | 'der' = 'raw', later = true) {
  const spoil = (request: SignRequest) =>
    answer(signRequest(alg, keyPair(alg), request, format), request) as Uint8Array
  const sign: SignerBackend['sign'] = later ? async (request) => spoil(request) : spoil
  return createSigner(backend(alg, { signatureFormat: format, sign }))
}

const flipped = (signature: Uint8Array, index = 3) =>
  signature.map((octet, at) => (at === index ? octet ^ 1 : octet))

describe('a signature that is right', () => {
  it.each(runnable)('ends for %s at its exact width and verifies', async (alg) => {
    const signer = createSigner(backend(alg))
    const signature = await signer.sign(input)
    expect(signature).toHaveLength(widths[alg] ?? 256)
    expect(verifiesOctetsWithNode(input, signature, signer.publicJwk)).toBe(true)
  })

  it.each(ecdsaAlgorithms)(
    'ends for %s as r ‖ s of the exact width when the backend returns DER, 150 times over',
    async (alg) => {
      const signer = createSigner(backend(alg, { signatureFormat: 'der' }))
      let short = 0
      for (let round = 0; round < 150; round++) {
        const message = randomBytes(16)
        const signature = await signer.sign(message)
        expect(signature).toHaveLength(widths[alg] ?? 0)
        expect(verifiesOctetsWithNode(message, signature, signer.publicJwk)).toBe(true)
        if (signature[0] === 0 || signature[signature.byteLength / 2] === 0) short++
      }
      // Otherwise the padding was not put to the test; every other r and s of this curve is short.
      if (alg === 'ES512') expect(short).toBeGreaterThan(0)
    },
  )

  it('takes no notice of "der" where signatures have no DER form', async () => {
    const signer = createSigner(backend('EdDSA', { signatureFormat: 'der' }))
    expect(await signer.sign(input)).toHaveLength(64)
  })

  it('may be a Buffer, a view into a larger one, or a plain Uint8Array', async () => {
    for (const format of ['raw', 'der'] as const) {
      const view = spoiled(
        'ES256',
        (own) => Buffer.concat([randomBytes(5), own]).subarray(5),
        format,
      )
      const plain = spoiled('ES256', (own) => new Uint8Array(own), format)
      expect(await view.sign(input)).toHaveLength(64)
      expect(await plain.sign(input)).toHaveLength(64)
    }
  })
})

describe.each(['raw', 'der'] as const)('a backend of %s signatures', (format) => {
  const other = (_: unknown, request: SignRequest) =>
    signRequest('ES256', keyPair('ES256', 'other'), request, format)
  const wrong: [string, Answer][] = [
    ['a flipped bit', (own) => flipped(own, 12)],
    ['a flipped last bit', (own) => flipped(own, own.byteLength - 1)],
    ['another key', other],
    [
      'another input',
      (_, { hash, digest, signal, aborted }) =>
        other(_, { message: Buffer.from('else'), hash, digest, signal, aborted }),
    ],
    ['no octets', () => new Uint8Array(0)],
    ['nothing', () => undefined],
    ['null', () => null],
    ['an octet too many', (own) => Buffer.concat([own, Buffer.of(0)])],
    ['an octet too few', (own) => own.subarray(0, -1)],
    ['zeros', (own) => new Uint8Array(own.byteLength)],
    ['base64', (own) => Buffer.from(own).toString('base64')],
    ['an ArrayBuffer', (own) => new Uint8Array(own).buffer],
    ['an array of numbers', (own) => [...own]],
    ['an object of a vendor', (own) => ({ Signature: own })],
    [
      'the other encoding',
      (_, request) =>
        signRequest('ES256', keyPair('ES256'), request, format === 'raw' ? 'der' : 'raw'),
    ],
    ['64 megabytes', () => new Uint8Array(64 * 1024 * 1024)],
  ]

  it.each(wrong)('is refused with ERR_SIGNER_INTEGRITY when it returns %s', async (_, answer) => {
    for (const later of [true, false]) {
      const error = await refusal(() => spoiled('ES256', answer, format, later).sign(input))
      expect(error.code).toBe('ERR_SIGNER_INTEGRITY')
      expect(error.backend).toBe('test-vault')
      expect(error.retryable).toBe(false)
      expect(error.cause).toBeUndefined()
    }
  })
})

describe('every algorithm', () => {
  it.each(runnable)(
    'refuses for %s a flipped bit and the signature of another key',
    async (alg) => {
      const wrong: Answer[] = [
        (own) => flipped(own, own.byteLength >> 1),
        (_, request) => signRequest(alg, keyPair(alg, 'other'), request),
        (own) => Buffer.concat([Buffer.of(0), own]),
      ]
      for (const answer of wrong) {
        const error = await refusal(() => spoiled(alg, answer).sign(input))
        expect(error.code).toBe('ERR_SIGNER_INTEGRITY')
      }
    },
  )

  it.each([
    ['RS256', 'PS256'],
    ['PS256', 'RS256'],
    ['RS256', 'RS384'],
    ['PS384', 'PS256'],
  ] as const)('refuses %s when the key service signed with %s', async (alg, used) => {
    const confused = createSigner(
      backend(alg, {
        sign: async ({ message }) => createSigner(backend(used)).sign(message),
      }),
    )
    expect((await refusal(() => confused.sign(input))).code).toBe('ERR_SIGNER_INTEGRITY')
  })

  it('refuses PS256 with a salt that is not as long as the hash', async () => {
    const { sign, constants } = await import('node:crypto')
    const signer = createSigner(
      backend('PS256', {
        sign: ({ message }) =>
          sign('sha256', message, {
            key: keyPair('PS256').privateKey,
            padding: constants.RSA_PKCS1_PSS_PADDING,
            saltLength: 20,
          }),
      }),
    )
    expect((await refusal(() => signer.sign(input))).code).toBe('ERR_SIGNER_INTEGRITY')
  })
})

describe('without verification', () => {
  it('the width is still checked, and DER still has to be canonical', async () => {
    const unverified = (signatureFormat: 'raw' | 'der', signature: Uint8Array) =>
      createSigner(backend('ES256', { signatureFormat, sign: () => signature }), { verify: false })
    expect(await unverified('raw', randomBytes(64)).sign(input)).toHaveLength(64)
    const der = rawToDer(randomBytes(64), 'ES256')
    expect(await unverified('der', der).sign(input)).toHaveLength(64)
    for (const signer of [
      unverified('raw', randomBytes(63)),
      unverified('raw', new Uint8Array(0)),
      unverified('der', Buffer.concat([der, Buffer.of(0)])),
    ]) {
      expect((await refusal(() => signer.sign(input))).code).toBe('ERR_SIGNER_INTEGRITY')
    }
  })
})
