import { verify } from 'node:crypto'
import { type EcdsaAlgorithm, SignerError } from '@countersign/core'
import { derToRaw, rawToDer } from '@countersign/core/der'
import { describe, expect, it } from 'vitest'
import { folder, hashes, label, unlessRun, type Vector, vectors } from './vectors.ts'

const files: [EcdsaAlgorithm, string][] = [
  ['ES256', 'ecdsa_secp256r1_sha256_test.json'],
  ['ES384', 'ecdsa_secp384r1_sha384_test.json'],
  ['ES512', 'ecdsa_secp521r1_sha512_test.json'],
  ['ES256K', 'ecdsa_secp256k1_sha256_test.json'],
]

/** r ‖ s, or nothing where the encoding is refused; any other failure is one of the test. */
function raw(alg: EcdsaAlgorithm, { sig }: Vector): Uint8Array | undefined {
  try {
    return derToRaw(sig, alg)
  } catch (error) {
    if (error instanceof SignerError && error.code === 'ERR_SIGNER_INTEGRITY') return undefined
    throw error
  }
}

function verifies(alg: EcdsaAlgorithm, { msg, key }: Vector, signature: Uint8Array): boolean {
  return verify(hashes[alg], msg, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

describe.skipIf(!folder)(`Wycheproof's ECDSA signatures in DER${unlessRun}`, () => {
  describe.each(files)('for %s', (alg, file) => {
    const all = folder ? vectors(file) : []

    it('are all read and verified where they are valid', () => {
      const valid = all.filter(({ result }) => result === 'valid')
      const failed = valid.filter((vector) => {
        const octets = raw(alg, vector)
        return octets === undefined || !verifies(alg, vector, octets)
      })
      expect(failed.map(label)).toEqual([])
      expect(valid.length).toBeGreaterThan(100)
    })

    it('are all refused, or do not verify, where they are invalid', () => {
      const invalid = all.filter(({ result }) => result === 'invalid')
      const passed = invalid.filter((vector) => {
        const octets = raw(alg, vector)
        return octets !== undefined && verifies(alg, vector, octets)
      })
      expect(passed.map(label)).toEqual([])
      expect(invalid.length).toBeGreaterThan(100)
    })

    it('are read only in the one encoding that rawToDer writes', () => {
      const read = all.flatMap((vector) => {
        const octets = raw(alg, vector)
        return octets === undefined ? [] : [{ vector, octets }]
      })
      const malformed = read.filter(
        ({ vector, octets }) => !vector.sig.equals(rawToDer(octets, alg)),
      )
      expect(malformed.map(({ vector }) => label(vector))).toEqual([])
    })

    it('are all refused where Wycheproof calls the encoding wrong', () => {
      const flags = [
        'BerEncodedSignature',
        'InvalidEncoding',
        'InvalidTypesInSignature',
        'MissingZero',
      ]
      const malformed = all.filter((vector) => vector.flags.some((flag) => flags.includes(flag)))
      const read = malformed.filter((vector) => raw(alg, vector) !== undefined)
      expect(read.map(label)).toEqual([])
      expect(malformed.length).toBeGreaterThan(50)
    })

    it('have none that is merely acceptable, on which a choice would have to be made', () => {
      expect(all.filter(({ result }) => result === 'acceptable').map(label)).toEqual([])
    })
  })
})
