import { endianness } from 'node:os'

/** Reads a CK_ULONG, which is 4 or 8 octets wide and in the order of the machine. */
export function readUlong(octets: Buffer): number {
  const little = endianness() === 'LE'
  if (octets.byteLength === 4) return little ? octets.readUInt32LE() : octets.readUInt32BE()
  return Number(little ? octets.readBigUInt64LE() : octets.readBigUInt64BE())
}
