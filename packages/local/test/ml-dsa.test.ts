import { type Jwk, signJws } from '@countersign/core'
import { type LocalSignerOptions, localSigner } from '@countersign/local'
import { describe, expect, it } from 'vitest'
import { keyPair, mlDsa } from '../../core/test/keys.ts'
import { refusal } from '../../core/test/outcome.ts'
import { verifiesWithNode } from '../../core/test/verification.ts'

// PKCS#8 of ML-DSA-44 (2.16.840.1.101.3.4.3.17) with a seed, RFC 9881 §6, as any Node.js can hold it.
const seed = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
const der = Buffer.concat([
  Buffer.from('3034020100300b060960864801650304031104228020', 'hex'),
  seed,
])
const body = der.toString('base64').replace(/.{64}/g, '$&\n')
const pem = `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`
const jwk = {
  kty: 'AKP',
  alg: 'ML-DSA-44',
  priv: seed.toString('base64url'),
  pub: Buffer.alloc(1312, 1).toString('base64url'),
}

describe.skipIf(mlDsa)('an ML-DSA key on a Node.js without ML-DSA', () => {
  it.each<[string, LocalSignerOptions['key']]>([
    ['PEM', pem],
    ['DER', der],
    ['JWK', jwk],
  ])('is refused as %s with a sentence that says which Node.js it takes', async (_, key) => {
    for (const alg of [undefined, 'ML-DSA-44'] as const) {
      const error = await refusal(() => localSigner({ key, alg }))
      expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
      expect(error.message).toContain('ML-DSA on Node.js 24.7 and later')
      expect(error.message).toContain(process.versions.node)
    }
  })
})

describe.runIf(mlDsa)('an ML-DSA key', () => {
  it.each(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const)(
    'of %s signs with that algorithm, and is refused for another',
    async (alg) => {
      const { privateKey } = keyPair(alg)
      const signer = await localSigner({ key: privateKey })
      expect(signer.alg).toBe(alg)
      expect(verifiesWithNode(await signJws(signer, 'x'), signer.publicJwk)).toBe(true)
      const other = alg === 'ML-DSA-87' ? 'ML-DSA-44' : 'ML-DSA-87'
      for (const wrong of [other, 'ES256', 'EdDSA'] as const) {
        const error = await refusal(() => localSigner({ key: privateKey, alg: wrong }))
        expect(error.code).toBe('ERR_SIGNER_CONFIG')
      }
    },
  )

  it('is the same key as PEM, DER and JWK', async () => {
    const fromPem = await localSigner({ key: pem })
    const { pub } = fromPem.publicJwk
    const own: Jwk = { ...jwk, ...(pub === undefined ? {} : { pub }) }
    const kids = [fromPem, await localSigner({ key: der }), await localSigner({ key: own })]
    expect(new Set(kids.map(({ kid }) => kid)).size).toBe(1)
  })

  it('is refused as a JWK with the public half of another', async () => {
    const error = await refusal(() => localSigner({ key: jwk }))
    expect(error.code).toBe('ERR_SIGNER_INTEGRITY')
  })
})
