import { crc32c } from './crc32c.ts'

/** `google.protobuf.Int64Value` as the SDK gives it: the number in decimal, and nothing for what is not set. */
export interface WrappedInteger {
  readonly value?: number | string | { toString(): string } | null | undefined
}

/** The checksum of some octets, as the service takes it. */
export function checksumOf(octets: Uint8Array): { value: string } {
  return { value: String(crc32c(octets)) }
}

/** Whether a checksum is there, and is that of these octets. Zero is a checksum like others. */
export function isChecksumOf(
  checksum: WrappedInteger | null | undefined,
  octets: Uint8Array,
): boolean {
  if (typeof checksum !== 'object' || checksum === null) return false
  // What stands in a message without its value is a zero, as protocol buffers are written.
  return String(checksum.value ?? 0) === String(crc32c(octets))
}
