import { randomUUID } from 'node:crypto'

/** A signing input that no other call gets, in the characters of a JWS. */
export function signingInput(name: string): Uint8Array {
  const [header, payload] = [{ alg: 'test' }, { name, jti: randomUUID() }].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  return new Uint8Array(Buffer.from(`${header}.${payload}`))
}

/** A copy with the last bit flipped. */
export function flipped(octets: Uint8Array): Uint8Array {
  const copy = new Uint8Array(octets)
  copy.set([(copy.at(-1) ?? 0) ^ 1], copy.byteLength - 1)
  return copy
}
