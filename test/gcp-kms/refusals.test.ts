import type { JwsAlgorithm } from '@countersign/core'
import { type GcpKmsSignerOptions, gcpKmsSigner } from '@countersign/gcp-kms'
import { beforeEach, describe, expect, test } from 'vitest'
import { mlDsa } from '../../packages/core/test/keys.ts'
import type { GcpKms } from '../servers/gcp-kms.js'
import { clientOf, clientWith, signerOver, startKms, versionOf } from './fixtures.ts'

let kms: GcpKms
beforeEach(async () => {
  kms = await startKms()
})

const any = (options: unknown) => options as GcpKmsSignerOptions
const somewhere = 'projects/p/locations/l/keyRings/r/cryptoKeys/k'

describe('a name', () => {
  test.each([
    '',
    'k',
    'projects/p/locations/l/keyRings/r',
    'projects/p/locations/l/keyRings/r/cryptoKeys/',
    `${somewhere}/cryptoKeyVersions`,
    `${somewhere}/cryptoKeyVersions/`,
    `${somewhere}/cryptoKeyVersions/latest`,
    `${somewhere}/cryptoKeyVersions/1/publicKey`,
    `/${somewhere}`,
    `//cloudkms.googleapis.com/${somewhere}`,
    `gcpkms://${somewhere}`,
    `${somewhere} `,
    `${somewhere}\n`,
  ])('%j is refused before anything is asked', async (name) => {
    await expect(signerOver(kms, { name })).rejects.toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringContaining('cryptoKeyVersions/N'),
    })
    expect(kms.requests).toEqual([])
  })

  test('that no key has is refused with it', async () => {
    for (const name of [
      somewhere,
      versionOf(somewhere),
      versionOf(kms.createKey({ kind: 'P-256' }), 2),
    ]) {
      await expect(signerOver(kms, { name })).rejects.toMatchObject({
        code: 'ERR_SIGNER_KEY_NOT_FOUND',
        message: `Google Cloud KMS has no ${name}; check project, location, key ring, key and version`,
        retryable: false,
        backend: 'gcp-kms',
      })
    }
  })
})

describe('misuse is a TypeError:', () => {
  test.each([
    ['no name', {}],
    ['a name that is no string', { name: 7 }],
    ['a client that is none', { name: somewhere, client: {} }],
    ['a client that is null', { name: somewhere, client: null }],
    ['an algorithm that is no string', { alg: 256 }],
    ['no time', { timeoutSeconds: 0 }],
    ['a signal that is none', { signal: {} }],
    ['an empty kid', { kid: '' }],
    ['verify that is no boolean', { verify: 'no' }],
  ])('%s', async (_what, options) => {
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    const all =
      'name' in options || Object.keys(options).length === 0 ? options : { name, ...options }
    await expect(gcpKmsSigner(any({ client: clientOf(kms), ...all }))).rejects.toThrow(TypeError)
  })

  test('client and clientOptions together', async () => {
    const options = { name: somewhere, clientOptions: kms.clientOptions() }
    await expect(signerOver(kms, options)).rejects.toThrow(TypeError)
  })
})

describe('an algorithm', () => {
  const wrong: readonly (readonly [string, JwsAlgorithm, string])[] = [
    ['EC_SIGN_P256_SHA256', 'ES384', 'use ES256'],
    ['EC_SIGN_P256_SHA256', 'RS256', 'use ES256'],
    ['EC_SIGN_P384_SHA384', 'ES256', 'use ES384'],
    ['EC_SIGN_SECP256K1_SHA256', 'ES256', 'use ES256K'],
    ['EC_SIGN_ED25519', 'ES256', 'use one of EdDSA, Ed25519'],
    ['RSA_SIGN_PKCS1_2048_SHA256', 'PS256', 'use RS256'],
    ['RSA_SIGN_PKCS1_2048_SHA256', 'RS384', 'use RS256'],
    ['RSA_SIGN_PKCS1_4096_SHA512', 'RS256', 'use RS512'],
    ['RSA_SIGN_PSS_2048_SHA256', 'RS256', 'use PS256'],
    ['RSA_SIGN_PSS_4096_SHA512', 'PS256', 'use PS512'],
  ]
  test.each(wrong)('of %s is not %s', async (algorithm, alg, advice) => {
    const name = versionOf(kms.createKey({ algorithm }))
    await expect(signerOver(kms, { name, alg })).rejects.toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringContaining(advice),
    })
    expect(kms.count('AsymmetricSign')).toBe(0)
  })

  test('that does not exist is refused', async () => {
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    for (const alg of ['none', 'HS256']) {
      await expect(signerOver(kms, any({ name, alg }))).rejects.toMatchObject({
        code: 'ERR_SIGNER_CONFIG',
      })
    }
  })

  test.each([
    'RSA_SIGN_RAW_PKCS1_2048',
    'RSA_DECRYPT_OAEP_2048_SHA256',
    'PQ_SIGN_ML_DSA_65_EXTERNAL_MU',
    'PQ_SIGN_SLH_DSA_SHA2_128S',
    'ML_KEM_768',
    'HMAC_SHA256',
    'GOOGLE_SYMMETRIC_ENCRYPTION',
  ])('%s makes no JWS signature', async (algorithm) => {
    const key = kms.createKey({ algorithm })
    for (const name of [key, versionOf(key)]) {
      await expect(signerOver(kms, { name })).rejects.toMatchObject({
        code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      })
    }
    expect(kms.count('AsymmetricSign')).toBe(0)
  })

  test.each(['CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED', 'constructor', '__proto__'])(
    'that is called %s is none',
    async (algorithm) => {
      const name = versionOf(kms.createKey({ kind: 'P-256' }))
      const client = clientWith(kms, (answer) => ({ ...answer, algorithm }))
      await expect(signerOver(kms, { name, client })).rejects.toMatchObject({
        code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      })
    },
  )
})

describe('a public key', () => {
  const cases: readonly (readonly [string, string, string, RegExp])[] = [
    ['no-key', 'EC_SIGN_P256_SHA256', 'INTEGRITY', /returned no public key/],
    ['no-key-crc', 'EC_SIGN_P256_SHA256', 'INTEGRITY', /without its checksum/],
    ['wrong-key-crc', 'EC_SIGN_P256_SHA256', 'INTEGRITY', /that of another one/],
    ['key-of-other-version', 'EC_SIGN_P256_SHA256', 'INTEGRITY', /another version/],
    ['other-public-key', 'EC_SIGN_P256_SHA256', 'INTEGRITY', /does not verify/],
    ['other-public-key', 'RSA_SIGN_PSS_2048_SHA256', 'INTEGRITY', /does not verify/],
    ['other-public-key', 'EC_SIGN_ED25519', 'INTEGRITY', /does not verify/],
    ['always-p256', 'EC_SIGN_P384_SHA384', 'INTEGRITY', /ec prime256v1 .* has ec secp384r1/],
    ['always-p256', 'EC_SIGN_SECP256K1_SHA256', 'INTEGRITY', /ec prime256v1 .* has ec secp256k1/],
    ['always-p256', 'EC_SIGN_ED25519', 'INTEGRITY', /ec prime256v1 .* has ed25519/],
    ['always-p256', 'RSA_SIGN_PKCS1_2048_SHA256', 'INTEGRITY', /ec prime256v1 .* has rsa 2048/],
    ['small-rsa', 'RSA_SIGN_PKCS1_3072_SHA256', 'INTEGRITY', /rsa 2048 .* has rsa 3072/],
    ['small-rsa', 'RSA_SIGN_PSS_4096_SHA512', 'INTEGRITY', /rsa 2048 .* has rsa 4096/],
    ['private-pem', 'EC_SIGN_P256_SHA256', 'INTEGRITY', /something else than a public key/],
    ['garbage-pem', 'EC_SIGN_P256_SHA256', 'KEY_UNSUPPORTED', /cannot be read/],
    ['unknown-algorithm', 'EC_SIGN_P256_SHA256', 'KEY_UNSUPPORTED', /makes no JWS signature/],
  ]
  test.each(cases)('(%s, %s) is refused', async (fault, algorithm, code, message) => {
    const key = kms.createKey({ algorithm })
    kms.createVersion(key, { nth: 1 })
    kms.fail(fault, { method: 'GetPublicKey' })
    const error = await signerOver(kms, { name: versionOf(key) }).catch((reason) => reason)
    expect(error).toMatchObject({ code: `ERR_SIGNER_${code}`, retryable: false })
    expect(error.message).toMatch(message)
  })

  test.runIf(mlDsa).each(['no-key', 'no-key-crc', 'wrong-key-crc'])(
    'of ML-DSA (%s) is refused',
    async (fault) => {
      const name = versionOf(kms.createKey({ kind: 'ML-DSA-65' }))
      kms.fail(fault, { method: 'GetPublicKey' })
      await expect(signerOver(kms, { name })).rejects.toMatchObject({
        code: 'ERR_SIGNER_INTEGRITY',
      })
    },
  )
})

test('options that make no client are refused', async () => {
  const clientOptions = { universeDomain: 'a.example', universe_domain: 'b.example' }
  await expect(gcpKmsSigner({ name: somewhere, clientOptions })).rejects.toMatchObject({
    code: 'ERR_SIGNER_CONFIG',
    cause: expect.any(Error),
  })
})

test('a client that was closed is refused with what to do', async () => {
  const name = versionOf(kms.createKey({ kind: 'P-256' }))
  const client = clientOf(kms)
  const signer = await signerOver(kms, { name, client })
  await client.close()
  for (const attempt of [signer.sign(Buffer.from('late')), signerOver(kms, { name, client })]) {
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringContaining('"client" was closed'),
    })
  }
})
