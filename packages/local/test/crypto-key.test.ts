import { KeyObject, webcrypto } from 'node:crypto'
import { signJws, thumbprint } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mlDsa } from '../../core/test/keys.ts'
import { refusal } from '../../core/test/outcome.ts'
import { verifiesWithNode } from '../../core/test/verification.ts'

type Algorithm = Parameters<webcrypto.SubtleCrypto['generateKey']>[0] & { name: string }
type Usage = webcrypto.KeyUsage

const publicExponent = new Uint8Array([1, 0, 1])
const rsa = (name: string, hash: string, modulusLength = 2048) => ({
  name,
  hash,
  modulusLength,
  publicExponent,
})
const ecdsa = (namedCurve: string) => ({ name: 'ECDSA', namedCurve })

const kinds: [string, Algorithm][] = [
  ['ES256', ecdsa('P-256')],
  ['ES384', ecdsa('P-384')],
  ['ES512', ecdsa('P-521')],
  ['RS256', rsa('RSASSA-PKCS1-v1_5', 'SHA-256')],
  ['RS512', rsa('RSASSA-PKCS1-v1_5', 'SHA-512')],
  ['PS256', rsa('RSA-PSS', 'SHA-256')],
  ['PS384', rsa('RSA-PSS', 'SHA-384')],
  ['PS512', rsa('RSA-PSS', 'SHA-512')],
  ['EdDSA', { name: 'Ed25519' }],
  ...(mlDsa
    ? (['44', '65', '87'] as const).map((n): [string, Algorithm] => [
        `ML-DSA-${n}`,
        { name: `ML-DSA-${n}` },
      ])
    : []),
]

async function pair(
  algorithm: Algorithm,
  extractable = false,
  usages: Usage[] = ['sign', 'verify'],
) {
  const generated = await webcrypto.subtle.generateKey(algorithm, extractable, usages)
  return generated as webcrypto.CryptoKeyPair
}

const warnings: string[] = []
const onWarning = ({ name }: Error) => warnings.push(name)
beforeAll(() => void process.on('warning', onWarning))
afterAll(() => void process.off('warning', onWarning))

describe.each(kinds)('a CryptoKey for %s', (alg, algorithm) => {
  it.each([true, false])('signs, extractable: %s', async (extractable) => {
    const { privateKey, publicKey } = await pair(algorithm, extractable)
    const signer = await localSigner({ key: privateKey })
    expect(signer.alg).toBe(alg)
    const { alg: _, ...jwk } = KeyObject.from(publicKey).export({ format: 'jwk' })
    expect(signer.publicJwk).toMatchObject(jwk)
    expect(signer.kid).toBe(thumbprint({ ...jwk, alg }))
    for (const payload of ['', 'x'.repeat(65_536)]) {
      expect(verifiesWithNode(await signJws(signer, payload), signer.publicJwk)).toBe(true)
    }
  })

  it('is refused when it is public, and when it may not sign', async () => {
    const { publicKey } = await pair(algorithm)
    const error = await refusal(() => localSigner({ key: publicKey }))
    expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    expect(error.message).toMatch(/is public.*private one/)
  })

  it('is refused for an algorithm that it is not bound to', async () => {
    const { privateKey } = await pair(algorithm)
    for (const other of ['ES256', 'RS256', 'RS384', 'PS256'] as const) {
      if (other === alg) continue
      const error = await refusal(() => localSigner({ key: privateKey, alg: other }))
      expect(error.code).toBe('ERR_SIGNER_CONFIG')
      expect(error.message).toContain(other)
    }
  })
})

describe('a CryptoKey', () => {
  it('for Ed25519 goes by either name, and takes a kid', async () => {
    const { privateKey } = await pair({ name: 'Ed25519' })
    const signer = await localSigner({ key: privateKey, alg: 'Ed25519', kid: 'k' })
    expect([signer.alg, signer.kid]).toEqual(['Ed25519', 'k'])
    expect(verifiesWithNode(await signJws(signer, 'x'), signer.publicJwk)).toBe(true)
  })

  it('that agrees on keys, encrypts, or is a secret is refused', async () => {
    const { subtle } = webcrypto
    const oaep = await pair(rsa('RSA-OAEP', 'SHA-256'), true, ['encrypt', 'decrypt'])
    const keys = [
      (await pair({ name: 'ECDH', namedCurve: 'P-256' } as Algorithm, true, ['deriveBits']))
        .privateKey,
      (await pair({ name: 'X25519' }, true, ['deriveBits'])).privateKey,
      oaep.privateKey,
      await subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign']),
      await subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt']),
    ]
    for (const key of keys) {
      const error = await refusal(() => localSigner({ key: key as webcrypto.CryptoKey }))
      expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    }
  })

  it('that may not sign is refused by that reason', async () => {
    const { privateKey } = await pair(ecdsa('P-256'), true)
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', privateKey)
    const ecdh = { name: 'ECDH', namedCurve: 'P-256' }
    const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, ecdh, false, ['deriveKey'])
    expect((await refusal(() => localSigner({ key }))).message).toMatch(/the usage "sign"/)
  })

  it('of 1024 RSA bits, or with SHA-1, is refused', async () => {
    for (const algorithm of [rsa('RSA-PSS', 'SHA-256', 1024), rsa('RSA-PSS', 'SHA-1')]) {
      const { privateKey } = await pair(algorithm)
      const error = await refusal(() => localSigner({ key: privateKey }))
      expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    }
  })
})

it('no key is used in a way that Node.js has deprecated', async () => {
  await new Promise((resolve) => setTimeout(resolve, 10))
  expect(warnings).not.toContain('DeprecationWarning')
})
