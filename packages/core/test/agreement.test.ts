import {
  algorithms,
  createSigner,
  isJwsAlgorithm,
  type JwsAlgorithm,
  type PublicKeyInput,
  type SignerBackend,
} from '@countersign/core'
import { describe, expect, it, vi } from 'vitest'
import { backend } from './backend.ts'
import { keyPair, mlDsa, oddKeyPair, runnable } from './keys.ts'
import { refusal, thrown } from './outcome.ts'

const kinds: readonly JwsAlgorithm[] = ['ES256', 'ES384', 'ES512', 'ES256K', 'RS256', 'EdDSA']
const family = (alg: JwsAlgorithm) => `${algorithms[alg].kty} ${algorithms[alg].crv}`

function never(): never {
  throw new Error('the backend was asked to sign')
}

async function refusalOf(alg: JwsAlgorithm, publicKey: PublicKeyInput) {
  const sign = vi.fn(never)
  const error = await refusal(() => createSigner({ name: 'test-vault', alg, publicKey, sign }))
  expect(sign).not.toHaveBeenCalled()
  return error
}

describe('an algorithm and a key that do not agree', () => {
  const mismatches = runnable.flatMap((alg) =>
    kinds.filter((kind) => family(kind) !== family(alg)).map((kind) => [alg, kind] as const),
  )

  it.each(mismatches)(
    'refuses %s with a key for %s before anything is signed',
    async (alg, kind) => {
      const error = await refusalOf(alg, keyPair(kind).publicKey)
      expect(error.code).toBe('ERR_SIGNER_CONFIG')
      expect(error.backend).toBe('test-vault')
      expect(error.message).toContain(alg)
    },
  )

  it.runIf(mlDsa)('refuses ML-DSA-44 with a key for ML-DSA-65', async () => {
    const error = await refusalOf('ML-DSA-44', keyPair('ML-DSA-65').publicKey)
    expect(error.code).toBe('ERR_SIGNER_CONFIG')
    expect(error.message).toContain('ML-DSA-65')
  })

  it.each(['ed448', 'x25519', 'x448'])('refuses EdDSA with a key of type %s', async (type) => {
    const error = await refusalOf('EdDSA', oddKeyPair(type).publicKey)
    expect(error.code).toBe('ERR_SIGNER_CONFIG')
  })
})

describe('a key that no algorithm fits', () => {
  it('refuses RSA below 2048 bits and says how many there are', async () => {
    const { publicKey } = oddKeyPair('rsa', { modulusLength: 1024 })
    for (const alg of ['RS256', 'PS512'] as const) {
      const error = await refusalOf(alg, publicKey)
      expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
      expect(error.message).toMatch(/1024 bits.*2048/)
    }
  })

  it('refuses RSA of 2047 bits and takes 2049', async () => {
    const small = await refusalOf('RS256', oddKeyPair('rsa', { modulusLength: 2047 }).publicKey)
    expect(small.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    const { publicKey } = oddKeyPair('rsa', { modulusLength: 2049 })
    expect(createSigner(backend('RS256', { publicKey })).alg).toBe('RS256')
  })

  it('names the curve of an EC key that JWS has no algorithm for', async () => {
    const { publicKey } = oddKeyPair('ec', { namedCurve: 'P-224' })
    const error = await refusalOf('ES256', publicKey)
    expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    expect(error.message).toContain('secp224r1')
  })

  it('refuses DSA, and tells what to do about an RSA key that is bound to PSS', async () => {
    const dsa = await refusalOf('RS256', oddKeyPair('dsa', { modulusLength: 2048 }).publicKey)
    expect(dsa.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    const pss = await refusalOf('PS256', oddKeyPair('rsa-pss', { modulusLength: 2048 }).publicKey)
    expect(pss.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    expect(pss.message).toContain('ordinary RSA key')
  })

  it.skipIf(mlDsa)('says which Node.js has ML-DSA where this one has not', async () => {
    const pub = Buffer.alloc(1312, 7).toString('base64url')
    const error = await refusalOf('ML-DSA-44', { kty: 'AKP', alg: 'ML-DSA-44', pub })
    expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    expect(error.message).toMatch(/ML-DSA on Node\.js 24\.7/)
  })
})

describe('an algorithm that does not exist here', () => {
  const forbidden = ['none', 'HS256', 'HS512', 'RSA-OAEP', 'Ed448', 'es256', '', '__proto__']

  it.each([...forbidden, 'constructor'])('refuses %j', async (alg) => {
    expect(isJwsAlgorithm(alg)).toBe(false)
    const error = await refusal(() => createSigner({ ...backend(), alg: alg as JwsAlgorithm }))
    expect(error.code).toBe('ERR_SIGNER_CONFIG')
    expect(error.message).toContain('ES256')
  })

  it('does not repeat what can be no name of an algorithm', async () => {
    const alg = `-----BEGIN PRIVATE KEY-----\nMARKER\n` as JwsAlgorithm
    const error = await refusal(() => createSigner({ ...backend(), alg }))
    expect(error.message).not.toContain('MARKER')
  })
})

describe('misuse', () => {
  const { privateKey } = keyPair('ES256')
  const wrong: [keyof SignerBackend, string, unknown][] = [
    ['name', 'an empty one', ''],
    ['name', 'a number', 7],
    ['alg', 'a number', 256],
    ['alg', 'none', undefined],
    ['sign', 'a string', 'yes'],
    ['signatureFormat', 'in capitals', 'DER'],
    ['publicKey', 'none', undefined],
    ['publicKey', 'null', null],
    ['publicKey', 'a number', 42],
    ['publicKey', 'a private KeyObject', privateKey],
    ['publicKey', 'a private JWK', privateKey.export({ format: 'jwk' })],
    ['publicKey', 'private PEM', privateKey.export({ format: 'pem', type: 'sec1' })],
    ['publicKey', 'a secret', { kty: 'oct', k: 'c2VjcmV0' }],
  ]

  it.each(wrong)(
    'of the backend is a TypeError that names the member: %s, %s',
    async (member, _, value) => {
      const error = await thrown(() => createSigner({ ...backend(), [member]: value }))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toContain(member)
    },
  )

  it.each([
    { kid: '' },
    { kid: 1 },
    { timeoutSeconds: 0 },
    { timeoutSeconds: -1 },
    { timeoutSeconds: Number.NaN },
    { timeoutSeconds: 601 },
    { timeoutSeconds: '10' },
    { timeoutSeconds: 5n },
    { verify: 'false' },
    { verify: 0 },
  ])('of the option %o is a TypeError that names it', async (options) => {
    const error = await thrown(() => createSigner(backend(), options as object))
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).toContain(Object.keys(options)[0])
  })

  it.each<[unknown]>([
    [undefined],
    ['text'],
    [[1, 2, 3]],
    [new ArrayBuffer(8)],
    [new Uint16Array(4)],
  ])('a signing input that is no Uint8Array is a TypeError: %o', async (input) => {
    const signer = createSigner(backend())
    await expect(signer.sign(input as Uint8Array)).rejects.toThrow(TypeError)
  })

  it('a signal that is no AbortSignal is a TypeError', async () => {
    const signal = { aborted: false } as AbortSignal
    await expect(createSigner(backend()).sign(new Uint8Array(1), { signal })).rejects.toThrow(
      /^"signal" must be an AbortSignal$/,
    )
  })
})
