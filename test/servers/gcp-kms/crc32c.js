// @ts-check

/** CRC-32C as in RFC 3720 §12.1, bit by bit: slow, and nothing like what it is to check. */
const polynomial = 0x82f63b78

/** @param {Uint8Array} octets */
export function crc32c(octets) {
  let register = 0xffffffff
  for (const octet of octets) {
    register ^= octet
    for (let bit = 0; bit < 8; bit++) {
      register = register & 1 ? (register >>> 1) ^ polynomial : register >>> 1
    }
  }
  return ~register >>> 0
}
