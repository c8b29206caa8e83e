import { crc32c } from '../../../test/servers/gcp-kms/crc32c.js'

/** Enough for every one of 32 bits to be reached. */
const letters = 64

/** The text, with letters behind it that make the CRC-32C of the whole zero. */
export function withChecksumZero(text: string): string {
  const start = Buffer.from(`${text}${'a'.repeat(letters)}`)
  const first = start.byteLength - letters
  const checksum = crc32c(start)
  // What it does to the checksum to make a "c" of the nth "a", for every n: a CRC is linear in that.
  const rows = Array.from({ length: letters }, (_, index) => {
    const changed = Buffer.from(start)
    changed.write('c', first + index)
    return { effect: (crc32c(changed) ^ checksum) >>> 0, letters: 1n << BigInt(index) }
  })
  let wanted = checksum
  let chosen = 0n
  for (let bit = 31; bit >= 0; bit--) {
    const at = rows.findIndex(({ effect }) => (effect >>> bit) & 1)
    const [pivot] = at < 0 ? [] : rows.splice(at, 1)
    if (pivot === undefined) throw new Error('too few letters')
    for (const row of rows) {
      if (((row.effect >>> bit) & 1) === 0) continue
      row.effect = (row.effect ^ pivot.effect) >>> 0
      row.letters ^= pivot.letters
    }
    if (((wanted >>> bit) & 1) === 0) continue
    wanted = (wanted ^ pivot.effect) >>> 0
    chosen ^= pivot.letters
  }
  const ending = Array.from({ length: letters }, (_, index) =>
    (chosen >> BigInt(index)) & 1n ? 'c' : 'a',
  )
  return text + ending.join('')
}
