/** `google.protobuf.Int64Value` as the SDK returns it: a decimal number, or no value if it is not set. */
export interface WrappedInteger {
  readonly value?: number | string | { toString(): string } | null | undefined
}

/** The CRC-32C of some octets, in the form of a request. */
export function checksumOf(octets: Uint8Array): { value: string } {
  return { value: String(crc32c(octets)) }
}

/** Whether a checksum is present and is that of these octets. Zero is a valid checksum. */
export function isChecksumOf(
  checksum: WrappedInteger | null | undefined,
  octets: Uint8Array,
): boolean {
  if (typeof checksum !== 'object' || checksum === null) return false
  // Protocol buffers omit a zero value.
  return String(checksum.value ?? 0) === String(crc32c(octets))
}

/** The Castagnoli polynomial, bits reversed. */
const polynomial = 0x82f63b78

const table = Uint32Array.from({ length: 256 }, (_, octet) => {
  let entry = octet
  for (let bit = 0; bit < 8; bit++) entry = entry & 1 ? (entry >>> 1) ^ polynomial : entry >>> 1
  return entry
})

/**
 * CRC-32C of some octets, a number from 0 to 2^32 − 1. It is not the CRC-32 of `node:zlib`.
 *
 * @see [RFC 3720 §12.1](https://www.rfc-editor.org/rfc/rfc3720#section-12.1)
 */
export function crc32c(octets: Uint8Array): number {
  let register = 0xffffffff
  for (const octet of octets) {
    register = (register >>> 8) ^ (table[(register ^ octet) & 0xff] ?? 0)
  }
  return ~register >>> 0
}
