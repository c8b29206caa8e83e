import type { GcpKmsClient } from '@countersign/gcp-kms'
import { beforeEach, describe, expect, test } from 'vitest'
import { withChecksumZero } from '../../packages/gcp-kms/test/checksum-zero.ts'
import { input } from '../clouds/fixtures.ts'
import type { GcpKms } from '../servers/gcp-kms.js'
import { keyPair } from '../support/key-pairs.js'
import { clientWith, signerOver, startKms, versionOf } from './fixtures.ts'

let kms: GcpKms
beforeEach(async () => {
  kms = await startKms({ versionsPerPage: 3 })
})

const { x: first } = keyPair('P-256', 0).publicKey.export({ format: 'jwk' })
const { x: second } = keyPair('P-256', 1).publicKey.export({ format: 'jwk' })

describe('the name of a version', () => {
  test('takes one call for the key, one for the trial, and then one for each signature', async () => {
    const signer = await signerOver(kms, { name: versionOf(kms.createKey({ kind: 'P-256' })) })
    expect(kms.requests.map(({ method }) => method)).toEqual(['GetPublicKey', 'AsymmetricSign'])
    kms.forget()
    for (let count = 1; count <= 5; count++) {
      await signer.sign(input)
      expect(kms.requests).toHaveLength(count)
    }
  })

  test('needs no permission to list versions', async () => {
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    kms.fail('denied', { method: 'ListCryptoKeyVersions' })
    const signer = await signerOver(kms, { name })
    expect(await signer.sign(input)).toHaveLength(64)
  })

  test('stays what it is when another version is added', async () => {
    const key = kms.createKey({ kind: 'P-256' })
    const signer = await signerOver(kms, { name: versionOf(key) })
    kms.createVersion(key, { nth: 1 })
    kms.forget()
    await signer.sign(input)
    expect(kms.requests).toMatchObject([{ request: { name: versionOf(key) } }])
    expect(signer.publicJwk.x).toBe(first)
  })
})

describe('the name of a key', () => {
  test('is that of its newest enabled version, by number and over all pages', async () => {
    const key = kms.createKey({ kind: 'P-256' })
    for (let number = 2; number <= 12; number++) {
      const state = number > 10 ? ('DISABLED' as const) : ('ENABLED' as const)
      kms.createVersion(key, { nth: number === 10 ? 1 : 0, state })
    }
    const signer = await signerOver(kms, { name: key })
    expect(signer.publicJwk.x).toBe(second)
    expect(kms.count('ListCryptoKeyVersions')).toBe(4)
    expect(kms.requests.at(-1)).toMatchObject({ request: { name: versionOf(key, 10) } })
  })

  test('is resolved once: a version that is added later is not used', async () => {
    const key = kms.createKey({ kind: 'P-256' })
    const signer = await signerOver(kms, { name: key })
    kms.createVersion(key, { nth: 1 })
    kms.forget()
    await signer.sign(input)
    expect(kms.requests).toMatchObject([
      { method: 'AsymmetricSign', request: { name: versionOf(key) } },
    ])
    const later = await signerOver(kms, { name: key })
    expect(later.publicJwk.x).toBe(second)
  })

  test.each([
    'DISABLED',
    'DESTROYED',
    'DESTROY_SCHEDULED',
    'PENDING_GENERATION',
    'PENDING_IMPORT',
    'IMPORT_FAILED',
    'GENERATION_FAILED',
  ] as const)('passes over a version that is %s', async (state) => {
    const key = kms.createKey({ kind: 'P-256' })
    kms.createVersion(key, { nth: 1, state })
    expect((await signerOver(kms, { name: key })).publicJwk.x).toBe(first)
    kms.setState(versionOf(key), state)
    await expect(signerOver(kms, { name: key })).rejects.toMatchObject({
      code: 'ERR_SIGNER_KEY_DISABLED',
      message: `${key} has no enabled version; enable one, or create one`,
    })
  })

  test('names the permission that listing takes', async () => {
    const key = kms.createKey({ kind: 'P-256' })
    kms.fail('denied', { method: 'ListCryptoKeyVersions' })
    await expect(signerOver(kms, { name: key })).rejects.toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining(`denies cloudkms.cryptoKeyVersions.list on ${key}`),
    })
  })

  test('is refused when its versions are listed without end', async () => {
    const key = kms.createKey({ kind: 'P-256' })
    let pages = 0
    const client: GcpKmsClient = {
      ...clientWith(kms, (answer) => answer),
      async listCryptoKeyVersions() {
        pages += 1
        await new Promise(setImmediate)
        return [[], { parent: key, pageToken: 'again' }]
      },
    }
    const loading = signerOver(kms, { name: key, client, timeoutSeconds: 0.2 })
    await expect(loading).rejects.toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    const seen = pages
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(pages - seen).toBeLessThanOrEqual(1)
  })
})

describe('a checksum of zero', () => {
  test('is one of a public key like others', async () => {
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    const pem = String(keyPair('P-256').publicKey.export({ format: 'pem', type: 'spki' }))
    const changed = { pem: withChecksumZero(pem), pemCrc32c: { value: '0' } }
    const client = clientWith(kms, (answer) => ({ ...answer, ...changed }))
    expect((await signerOver(kms, { name, client })).publicJwk.x).toBe(first)
  })

  test('of what is to be signed reaches the service', async () => {
    const signer = await signerOver(kms, { name: versionOf(kms.createKey({ kind: 'Ed25519' })) })
    kms.forget()
    expect(await signer.sign(Buffer.from(withChecksumZero('zero')))).toHaveLength(64)
    expect(kms.requests).toMatchObject([{ request: { dataCrc32c: { value: '0' } } }])
  })
})
