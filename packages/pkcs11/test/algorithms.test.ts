import { constants, createHash, generateKeyPairSync, publicDecrypt, sign } from 'node:crypto'
import type { JwsAlgorithm, SignRequest } from '@countersign/core'
import { describe, expect, test } from 'vitest'
import { possibleAlgorithms, signingMethod } from '../src/algorithms.ts'

const message = Buffer.from('a signing input')

function request(hash: 'sha256' | 'sha384' | 'sha512' | undefined): SignRequest {
  const digest = hash && createHash(hash).update(message).digest()
  return { message, hash, digest, signal: new AbortController().signal, aborted: false }
}

const sha256 = request('sha256')

/** For each algorithm its rungs: mechanism, and what is handed over. */
const ladder: readonly [JwsAlgorithm, readonly (readonly [number, 'message' | 'digest'])[]][] = [
  [
    'ES256',
    [
      [0x1041, 'digest'],
      [0x1044, 'message'],
    ],
  ],
  [
    'ES384',
    [
      [0x1041, 'digest'],
      [0x1045, 'message'],
    ],
  ],
  [
    'ES512',
    [
      [0x1041, 'digest'],
      [0x1046, 'message'],
    ],
  ],
  [
    'ES256K',
    [
      [0x1041, 'digest'],
      [0x1044, 'message'],
    ],
  ],
  [
    'PS256',
    [
      [0x43, 'message'],
      [0xd, 'digest'],
    ],
  ],
  [
    'PS384',
    [
      [0x44, 'message'],
      [0xd, 'digest'],
    ],
  ],
  [
    'PS512',
    [
      [0x45, 'message'],
      [0xd, 'digest'],
    ],
  ],
  ['EdDSA', [[0x1057, 'message']]],
  ['Ed25519', [[0x1057, 'message']]],
]

const hashOf = (alg: JwsAlgorithm) =>
  alg.startsWith('Ed') ? undefined : (`sha${alg.slice(2, 5)}` as 'sha256')

describe('the ladder', () => {
  test.each(ladder)('of %s is climbed from the top', (alg, rungs) => {
    const mechanisms = rungs.map(([mechanism]) => mechanism)
    for (const [index, [mechanism, what]] of rungs.entries()) {
      const method = signingMethod(alg, mechanisms.slice(index))
      expect(method?.mechanism.mechanism).toBe(mechanism)
      const asked = request(hashOf(alg))
      expect(method?.input(asked)).toEqual(asked[what])
    }
    expect(signingMethod(alg, [])).toBeUndefined()
  })

  test.each([
    ['RS256', 0x40, 'sha256'],
    ['RS384', 0x41, 'sha384'],
    ['RS512', 0x42, 'sha512'],
  ] as const)('of %s ends with the very DigestInfo that OpenSSL signs', (alg, hashing, hash) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const signature = sign(hash, message, privateKey)
    const padded = publicDecrypt(
      { key: publicKey, padding: constants.RSA_PKCS1_PADDING },
      signature,
    )
    const lowest = signingMethod(alg, [0x1])
    expect(lowest?.mechanism).toEqual({ mechanism: 0x1 })
    expect(lowest?.input(request(hash))).toEqual(padded)
    const highest = signingMethod(alg, [0x1, hashing])
    expect(highest?.mechanism).toEqual({ mechanism: hashing })
    expect(highest?.input(request(hash))).toEqual(message)
  })

  test.each([
    ['PS256', { type: 5, hashAlg: 0x250, mgf: 2, saltLen: 32 }],
    ['PS384', { type: 5, hashAlg: 0x260, mgf: 3, saltLen: 48 }],
    ['PS512', { type: 5, hashAlg: 0x270, mgf: 4, saltLen: 64 }],
  ] as const)(
    'of %s names hash, mask and a salt as long as the hash on every rung',
    (alg, parameter) => {
      for (const rung of [0xd, 0x43, 0x44, 0x45]) {
        const method = signingMethod(alg, [rung])
        if (method !== undefined) expect(method.mechanism).toEqual({ mechanism: rung, parameter })
      }
      expect(signingMethod(alg, [0xd])).toBeDefined()
    },
  )

  test('is not climbed by a mechanism of another algorithm', () => {
    expect(signingMethod('ES256', [0x1045, 0x1046, 0x40, 0x1])).toBeUndefined()
    expect(signingMethod('RS256', [0x41, 0xd, 0x1041])).toBeUndefined()
    expect(signingMethod('PS256', [0x1, 0x40, 0x44])).toBeUndefined()
  })
})

test('what a token can make is told by its mechanisms', () => {
  expect(possibleAlgorithms([0x1])).toEqual(['RS256', 'RS384', 'RS512'])
  expect(possibleAlgorithms([0x1041, 0xd])).toEqual([
    'ES256',
    'ES384',
    'ES512',
    'ES256K',
    'PS256',
    'PS384',
    'PS512',
  ])
  expect(possibleAlgorithms([0x1057, 0x220])).toEqual(['EdDSA', 'Ed25519'])
  expect(possibleAlgorithms([])).toEqual([])
})

test('there is no way to an HMAC or to ML-DSA', () => {
  const all = Array.from({ length: 0x2000 }, (_, mechanism) => mechanism)
  for (const alg of ['HS256', 'none', 'ML-DSA-44'] as JwsAlgorithm[]) {
    expect(signingMethod(alg, all)).toBeUndefined()
  }
  expect(signingMethod('ES256', all)?.input(sha256)).toEqual(sha256.digest)
})
