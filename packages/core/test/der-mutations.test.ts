import { randomBytes } from 'node:crypto'
import { type EcdsaAlgorithm, SignerError } from '@countersign/core'
import { derToRaw, rawToDer } from '@countersign/core/der'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ecdsaAlgorithms } from './keys.ts'

const widths = { ES256: 32, ES384: 48, ES512: 66, ES256K: 32 } as const

/** Either refused with the one code, or octet for octet what the decoded numbers are written as. */
function isCanonicalOrRefused(der: Uint8Array, alg: EcdsaAlgorithm): 'canonical' | 'refused' {
  let raw: Uint8Array
  try {
    raw = derToRaw(der, alg)
  } catch (error) {
    if (error instanceof SignerError && error.code === 'ERR_SIGNER_INTEGRITY') return 'refused'
    throw new Error(`another failure for ${Buffer.from(der).toString('hex')}`, { cause: error })
  }
  expect(raw.byteLength).toBe(2 * widths[alg])
  expect(Buffer.from(rawToDer(raw, alg)).equals(der)).toBe(true)
  return 'canonical'
}

const ecdsa = fc.constantFrom(...ecdsaAlgorithms)
const good = (alg: EcdsaAlgorithm) => Buffer.from(rawToDer(randomBytes(2 * widths[alg]), alg))

describe('a mutated encoding', () => {
  it('is canonical or refused when octets are replaced', () => {
    const edits = fc.array(fc.tuple(fc.nat(160), fc.nat(255)), { minLength: 1, maxLength: 4 })
    const outcomes = { canonical: 0, refused: 0 }
    fc.assert(
      fc.property(ecdsa, edits, (alg, changes) => {
        const der = good(alg)
        for (const [at, octet] of changes) der[at % der.byteLength] = octet
        outcomes[isCanonicalOrRefused(der, alg)]++
      }),
      { numRuns: 8000 },
    )
    // Both happen, or nothing was shown.
    expect(outcomes.canonical).toBeGreaterThan(100)
    expect(outcomes.refused).toBeGreaterThan(100)
  })

  it('is refused when its head is replaced, which no canonical encoding survives by chance', () => {
    for (const alg of ecdsaAlgorithms) {
      const der = good(alg)
      for (const at of [0, 1]) {
        for (let octet = 0; octet < 256; octet++) {
          const changed = Buffer.from(der)
          changed[at] = octet
          const expected = changed.equals(der) ? 'canonical' : 'refused'
          expect(isCanonicalOrRefused(changed, alg)).toBe(expected)
        }
      }
    }
  })

  it('is canonical or refused when octets are inserted, taken out or moved', () => {
    fc.assert(
      fc.property(
        ecdsa,
        fc.nat(),
        fc.nat(8),
        fc.uint8Array({ maxLength: 8 }),
        (alg, at, taken, inserted) => {
          const octets = [...good(alg)]
          octets.splice(at % octets.length, taken, ...inserted)
          isCanonicalOrRefused(Uint8Array.from(octets), alg)
        },
      ),
      { numRuns: 6000 },
    )
  })

  it('is refused at every length short of its own', () => {
    for (const alg of ecdsaAlgorithms) {
      const der = good(alg)
      for (let length = 0; length < der.byteLength; length++) {
        expect(isCanonicalOrRefused(der.subarray(0, length), alg)).toBe('refused')
      }
    }
  })

  it('is refused for any octets, of any ASN.1 type, that are not a signature', () => {
    fc.assert(
      fc.property(ecdsa, fc.uint8Array({ maxLength: 150 }), (alg, octets) => {
        isCanonicalOrRefused(octets, alg)
      }),
      { numRuns: 4000 },
    )
    for (let tag = 0; tag < 256; tag++) {
      for (const length of [0, 1, 2, 5, 13, 40]) {
        const value = randomBytes(length)
        for (const body of [Buffer.of(tag, length), Buffer.of(tag, 0x80)]) {
          const alone = Buffer.concat([body, value])
          const inside = Buffer.concat([Buffer.of(0x30, alone.byteLength + 3, 2, 1, 1), alone])
          for (const der of [alone, inside]) isCanonicalOrRefused(der, 'ES256')
        }
      }
    }
  })
})

describe('an encoding that is not DER', () => {
  const one = [0x02, 0x01, 0x01]
  const forms: [string, number[]][] = [
    ['nothing', []],
    ['a lone tag', [0x30]],
    ['an empty sequence', [0x30, 0x00]],
    ['one number', [0x30, 3, ...one]],
    ['three numbers', [0x30, 9, ...one, ...one, ...one]],
    ['trailing octets', [0x30, 6, ...one, ...one, 0]],
    ['a trailing NULL', [0x30, 6, ...one, ...one, 5, 0]],
    ['a NULL within', [0x30, 8, ...one, ...one, 5, 0]],
    ['a long-form length of the sequence', [0x30, 0x81, 6, ...one, ...one]],
    ['a longer long-form length', [0x30, 0x82, 0, 6, ...one, ...one]],
    ['a long-form length of a number', [0x30, 7, 0x02, 0x81, 1, 1, ...one]],
    ['indefinite length', [0x30, 0x80, ...one, ...one, 0, 0]],
    ['indefinite length without end', [0x30, 0x80, ...one, ...one]],
    ['a reserved length', [0x30, 0xff, ...one, ...one]],
    ['a length of 4 GB', [0x30, 0x84, 0xff, 0xff, 0xff, 0xff, ...one, ...one]],
    ['a length of 2^64', [0x30, 0x88, ...Array(8).fill(0xff), ...one, ...one]],
    ['a length of 127 octets', [0x30, 0xfe, ...Array(126).fill(1)]],
    ['a number of 4 GB', [0x30, 11, 0x02, 0x84, 0xff, 0xff, 0xff, 0xff, ...one, 0, 0]],
    ['a negative number', [0x30, 6, 0x02, 1, 0xff, ...one]],
    ['a number without octets', [0x30, 5, 0x02, 0, ...one]],
    ['a padded number', [0x30, 7, 0x02, 2, 0, 1, ...one]],
    ['a number padded with ff', [0x30, 7, 0x02, 2, 0xff, 0x80, ...one]],
    ['zero', [0x30, 6, 0x02, 1, 0, ...one]],
    ['a constructed number', [0x30, 8, 0x22, 3, ...one, ...one]],
    ['a context tag', [0x30, 6, 0x82, 1, 1, ...one]],
    ['a boolean', [0x30, 6, 0x01, 1, 1, ...one]],
    ['an octet string', [0x30, 6, 0x04, 1, 1, ...one]],
    ['a number that is ENUMERATED', [0x30, 6, 0x0a, 1, 1, ...one]],
    ['a time that is none', [0x30, 5, 0x18, 0, ...one]],
    ['a set', [0x31, 6, ...one, ...one]],
    ['a sequence in a sequence', [0x30, 8, 0x30, 6, ...one, ...one]],
    ['a high tag number', [0x3f, 0x10, 6, ...one, ...one]],
    ['a primitive sequence', [0x10, 6, ...one, ...one]],
  ]

  it.each(forms)('is refused: %s', (_, octets) => {
    for (const alg of ecdsaAlgorithms) {
      expect(isCanonicalOrRefused(Uint8Array.from(octets), alg)).toBe('refused')
    }
  })

  it('is refused quickly, however deep or long it is', () => {
    const deep = Buffer.from(Array(200_000).fill([0x30, 0x80]).flat())
    const numbers = Buffer.from(Array(300_000).fill(one).flat())
    const many = Buffer.concat([Buffer.of(0x30, 0x83, 0x0d, 0xbb, 0xa0), numbers])
    const start = performance.now()
    for (const der of [deep, many, Buffer.alloc(5_000_000, 0x30), Buffer.alloc(5_000_000)]) {
      expect(isCanonicalOrRefused(der, 'ES256')).toBe('refused')
    }
    expect(performance.now() - start).toBeLessThan(2000)
  })
})
