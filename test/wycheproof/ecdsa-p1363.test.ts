import { verify } from 'node:crypto'
import { algorithms, createSigner, type EcdsaAlgorithm, SignerError } from '@countersign/core'
import { derToRaw, rawToDer } from '@countersign/core/der'
import { describe, expect, it } from 'vitest'
import { folder, hashes, label, unlessRun, type Vector, vectors } from './vectors.ts'

const files: [EcdsaAlgorithm, string][] = [
  ['ES256', 'ecdsa_secp256r1_sha256_p1363_test.json'],
  ['ES512', 'ecdsa_secp521r1_sha512_p1363_test.json'],
]

/** Whether a signer whose backend returns the vector's signature for the vector's message lets it out. */
async function letsOut(alg: EcdsaAlgorithm, vector: Vector, der?: Uint8Array): Promise<boolean> {
  const signer = createSigner({
    name: 'wycheproof',
    alg,
    publicKey: vector.key,
    signatureFormat: der === undefined ? 'raw' : 'der',
    sign: () => der ?? vector.sig,
  })
  try {
    return Buffer.from(await signer.sign(vector.msg)).equals(vector.sig)
  } catch (error) {
    if (error instanceof SignerError && error.code === 'ERR_SIGNER_INTEGRITY') return false
    throw error
  }
}

describe.skipIf(!folder)(`Wycheproof's ECDSA signatures as r ‖ s${unlessRun}`, () => {
  describe.each(files)('for %s', (alg, file) => {
    const all = folder ? vectors(file) : []
    const wellFormed = all.filter(({ sig }) => sig.byteLength === algorithms[alg].signatureLength)
    const isZero = (half: Uint8Array) => half.every((octet) => octet === 0)

    it('leave a signer exactly where they are valid', async () => {
      for (const vector of all) {
        expect(await letsOut(alg, vector), label(vector)).toBe(vector.result === 'valid')
      }
      expect(all.length).toBeGreaterThan(200)
    })

    it('leave a signer exactly where they are valid when they came as DER', async () => {
      for (const vector of wellFormed) {
        const der = rawToDer(vector.sig, alg)
        expect(await letsOut(alg, vector, der), label(vector)).toBe(vector.result === 'valid')
      }
    })

    it('mean as DER, of the right width, what they meant before', () => {
      for (const vector of wellFormed) {
        const der = rawToDer(vector.sig, alg)
        const asDer = verify(hashes[alg], vector.msg, { key: vector.key, dsaEncoding: 'der' }, der)
        expect(asDer, label(vector)).toBe(vector.result === 'valid')
        const half = vector.sig.byteLength / 2
        if (isZero(vector.sig.subarray(0, half)) || isZero(vector.sig.subarray(half))) continue
        expect(vector.sig.equals(derToRaw(der, alg)), label(vector)).toBe(true)
      }
      expect(wellFormed.length).toBeGreaterThan(200)
    })

    it('are a TypeError for rawToDer where the width is wrong', () => {
      const others = all.filter((vector) => !wellFormed.includes(vector))
      for (const { sig } of others) expect(() => rawToDer(sig, alg)).toThrow(TypeError)
      expect(others.length).toBeGreaterThan(0)
    })
  })
})
