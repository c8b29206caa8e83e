import { randomBytes } from 'node:crypto'
import { algorithms, type EcdsaAlgorithm } from '@countersign/core'
import { derToRaw, rawToDer } from '@countersign/core/der'
import { Integer, Sequence } from 'asn1js'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ecdsaAlgorithms } from './keys.ts'
import { thrown } from './outcome.ts'

const widths = { ES256: 32, ES384: 48, ES512: 66, ES256K: 32 } as const

/** A positive number of up to `width` octets, short and zero-led ones included, padded to the width. */
function coordinate(width: number): fc.Arbitrary<Buffer> {
  const magnitude = fc
    .tuple(fc.integer({ min: 1, max: 255 }), fc.uint8Array({ maxLength: width - 1 }))
    .map(([first, rest]) => Buffer.of(first, ...rest))
  const full = fc
    .tuple(
      fc.integer({ min: 1, max: 255 }),
      fc.uint8Array({ minLength: width - 1, maxLength: width - 1 }),
    )
    .map(([first, rest]) => Buffer.of(first, ...rest))
  return fc
    .oneof(magnitude, full)
    .map((number) => Buffer.concat([Buffer.alloc(width - number.byteLength), number]))
}

const signature = (alg: EcdsaAlgorithm) =>
  fc.tuple(coordinate(widths[alg]), coordinate(widths[alg])).map((both) => Buffer.concat(both))

/** DER by the book, written here a second time: X.690 §8.3, §8.9 and §10.1. */
function encoded(raw: Uint8Array): Buffer {
  const half = raw.byteLength / 2
  const integers = [raw.subarray(0, half), raw.subarray(half)].map((octets) => {
    const hex = BigInt(`0x${Buffer.from(octets).toString('hex')}`).toString(16)
    const even = hex.length % 2 === 0 ? hex : `0${hex}`
    const content = Buffer.from(
      Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even,
      'hex',
    )
    return Buffer.concat([Buffer.of(2, content.byteLength), content])
  })
  const body = Buffer.concat(integers)
  const length = body.byteLength < 128 ? [body.byteLength] : [0x81, body.byteLength]
  return Buffer.concat([Buffer.of(0x30, ...length), body])
}

describe.each(ecdsaAlgorithms)('%s', (alg) => {
  const width = widths[alg]

  it('goes from raw to DER and back, whatever r and s are', () => {
    fc.assert(
      fc.property(signature(alg), (raw) => {
        const der = rawToDer(raw, alg)
        expect(Buffer.from(der)).toEqual(encoded(raw))
        const back = derToRaw(der, alg)
        expect(back.byteLength).toBe(2 * width)
        expect(Buffer.from(back)).toEqual(raw)
      }),
      { numRuns: 1000 },
    )
  })

  it('reads the smallest and the largest numbers', () => {
    const one = Buffer.alloc(width)
    one[width - 1] = 1
    const largest = Buffer.alloc(width, 0xff)
    for (const r of [one, largest]) {
      for (const s of [one, largest]) {
        const raw = Buffer.concat([r, s])
        expect(Buffer.from(derToRaw(encoded(raw), alg))).toEqual(raw)
      }
    }
  })

  it('reads a view into a larger buffer, and leaves its input as it is', () => {
    const raw = randomBytes(2 * width)
    raw[0] = 1
    raw[width] = 1
    const around = Buffer.concat([randomBytes(7), encoded(raw), randomBytes(7)])
    const before = Buffer.from(around)
    const result = derToRaw(around.subarray(7, -7), alg)
    expect(Buffer.from(result)).toEqual(raw)
    result.fill(0)
    expect(around).toEqual(before)
  })

  it('refuses numbers that are too wide for the curve', async () => {
    const wide = Buffer.alloc(2 * width + 2, 0x01)
    await expect(async () => derToRaw(encoded(wide), alg)).rejects.toMatchObject({
      code: 'ERR_SIGNER_INTEGRITY',
    })
  })

  it('refuses zero', async () => {
    const raw = Buffer.alloc(2 * width)
    for (const [r, s] of [
      [0, 0],
      [0, 1],
      [1, 0],
    ] as const) {
      raw[width - 1] = r
      raw[2 * width - 1] = s
      await expect(async () => derToRaw(encoded(raw), alg)).rejects.toMatchObject({
        code: 'ERR_SIGNER_INTEGRITY',
      })
    }
  })

  it('takes from rawToDer only the exact width', async () => {
    for (const length of [0, 1, 2 * width - 1, 2 * width + 1, 4 * width]) {
      const error = await thrown(() => rawToDer(new Uint8Array(length), alg))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toContain(`${2 * width} octets`)
    }
  })
})

describe('misuse', () => {
  const others = Object.keys(algorithms).filter(
    (alg) => !(ecdsaAlgorithms as readonly string[]).includes(alg),
  )

  it.each([...others, 'none', '__proto__', 'toString', undefined])(
    'with the algorithm %s is a TypeError',
    async (alg) => {
      for (const convert of [derToRaw, rawToDer]) {
        const call = () => convert(new Uint8Array(64), alg as EcdsaAlgorithm)
        expect(await thrown(call)).toBeInstanceOf(TypeError)
      }
    },
  )

  it.each<[unknown]>([
    [undefined],
    [null],
    ['MEUCIQ'],
    [[48, 6]],
    [new ArrayBuffer(8)],
    [{ byteLength: 64 }],
  ])('with %o for octets is a TypeError', async (octets) => {
    for (const convert of [derToRaw, rawToDer]) {
      expect(await thrown(() => convert(octets as Uint8Array, 'ES256'))).toBeInstanceOf(TypeError)
    }
  })
})

describe('what a hostile key service sends in place of a signature', () => {
  afterEach(() => vi.restoreAllMocks())

  function length(octets: number): number[] {
    if (octets < 128) return [octets]
    return [0x83, octets >> 16, (octets >> 8) & 255, octets & 255]
  }

  /** How many objects are parsed until it is refused. */
  async function parsed(der: Uint8Array): Promise<number> {
    const spies = [vi.spyOn(Sequence.prototype, 'fromBER'), vi.spyOn(Integer.prototype, 'fromBER')]
    expect(await thrown(() => derToRaw(der, 'ES256'))).toMatchObject({
      code: 'ERR_SIGNER_INTEGRITY',
    })
    return spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0)
  }

  it('is not parsed beyond the two numbers of a signature', async () => {
    const integers = new Uint8Array(300_000).map((_, index) => [2, 1, 1][index % 3] ?? 0)
    const many = new Uint8Array([0x30, ...length(integers.byteLength), ...integers])
    expect(await parsed(many)).toBeLessThan(10)
  })

  it('is not parsed deeper than a signature is', async () => {
    let nested: number[] = []
    for (let depth = 0; depth < 200; depth++) nested = [0x30, ...length(nested.length), ...nested]
    expect(await parsed(new Uint8Array(nested))).toBeLessThan(10)
  })
})
