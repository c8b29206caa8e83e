import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { crc32c as slowly } from '../../../test/servers/gcp-kms/crc32c.js'
import { checksumOf, crc32c, isChecksumOf } from '../src/checksum.ts'

import { withChecksumZero } from './checksum-zero.ts'

const octets = (from: (index: number) => number, length: number) =>
  Uint8Array.from({ length }, (_, index) => from(index))

/** RFC 3720 §B.4, whose octets of a checksum stand the other way round, and what is known of CRC-32C elsewhere. */
const known: readonly (readonly [string, Uint8Array, number])[] = [
  ['nothing', new Uint8Array(0), 0],
  ['a', Buffer.from('a'), 0xc1d04330],
  ['123456789', Buffer.from('123456789'), 0xe3069283],
  ['a fox', Buffer.from('The quick brown fox jumps over the lazy dog'), 0x22620404],
  ['32 octets of zeroes', new Uint8Array(32), 0x8a9136aa],
  ['32 octets of ones', octets(() => 0xff, 32), 0x62a8ab43],
  ['32 incrementing octets', octets((index) => index, 32), 0x46dd794e],
  ['32 decrementing octets', octets((index) => 31 - index, 32), 0x113fdb5c],
  [
    'an iSCSI read command',
    Buffer.from(
      '01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000',
      'hex',
    ),
    0xd9963a56,
  ],
]

describe('CRC-32C', () => {
  it.each(known)('of %s is as published', (_name, input, expected) => {
    expect(crc32c(input)).toBe(expected)
  })

  it('is that of a slow computation, whatever the octets', () => {
    for (let length = 0; length < 300; length++) {
      const input = randomBytes(length)
      expect(crc32c(input)).toBe(slowly(input))
    }
  })

  it('is not that of zlib', () => {
    expect(crc32c(Buffer.from('123456789'))).not.toBe(crc32(Buffer.from('123456789')))
  })
})

describe('a checksum of the service', () => {
  const input = Buffer.from('123456789')
  const right = '3808858755'

  it('is the number in decimal', () => {
    expect(checksumOf(input)).toEqual({ value: right })
    expect(checksumOf(new Uint8Array(0))).toEqual({ value: '0' })
  })

  it.each([
    ['a string', { value: right }],
    ['a number', { value: Number(right) }],
    ['an object of a library for long integers', { value: { toString: () => right } }],
  ])('is taken as %s', (_form, checksum) => {
    expect(isChecksumOf(checksum, input)).toBe(true)
  })

  it('of zero is a checksum, in each form it arrives in', () => {
    const zero = Buffer.from(withChecksumZero('zero'))
    expect(crc32c(zero)).toBe(0)
    for (const value of ['0', 0, undefined, null]) {
      expect(isChecksumOf({ value }, zero)).toBe(true)
      expect(isChecksumOf({ value }, input)).toBe(false)
    }
    expect(isChecksumOf(null, zero)).toBe(false)
  })

  it.each([
    ['absent', undefined],
    ['null', null],
    ['that of other octets', { value: '1' }],
    ['its neighbour', { value: String(Number(right) + 1) }],
    ['the same modulo 2^32', { value: String(Number(right) + 2 ** 32) }],
    ['negative', { value: String(Number(right) - 2 ** 32) }],
    ['padded', { value: ` ${right}` }],
    ['in hexadecimal', { value: '0xe3069283' }],
    ['no number', { value: 'NaN' }],
    ['bare', right as unknown as { value: string }],
  ])('is refused when it is %s', (_how, checksum) => {
    expect(isChecksumOf(checksum, input)).toBe(false)
  })
})
