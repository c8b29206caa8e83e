import { createPublicKey, type JsonWebKeyInput, verify } from 'node:crypto'
import { algorithms, type PublicJwk } from '@countersign/core'
import { compactVerify, importJWK, type JWK } from 'jose'

/** Verifies a JWS with `node:crypto`, by the published key alone. */
export function verifiesWithNode(jws: string, jwk: PublicJwk): boolean {
  const dot = jws.lastIndexOf('.')
  return verifiesOctetsWithNode(
    Buffer.from(jws.slice(0, dot)),
    Buffer.from(jws.slice(dot + 1), 'base64url'),
    jwk,
  )
}

/** Verifies the octets of a signature with `node:crypto`. */
export function verifiesOctetsWithNode(
  signingInput: Uint8Array,
  signature: Uint8Array,
  jwk: PublicJwk,
): boolean {
  const { hash, padding, saltLength } = algorithms[jwk.alg]
  return verify(
    hash ?? null,
    signingInput,
    {
      key: createPublicKey({ key: { ...jwk } as JsonWebKeyInput['key'], format: 'jwk' }),
      dsaEncoding: 'ieee-p1363',
      ...(padding === undefined ? {} : { padding }),
      ...(saltLength === undefined ? {} : { saltLength }),
    },
    signature,
  )
}

/** Verifies a JWS with `jose` and returns its header and payload. */
export async function verifiedByJose(
  jws: string,
  jwk: PublicJwk,
): Promise<{ header: object; payload: string }> {
  const key = await importJWK({ ...jwk } as JWK, jwk.alg)
  const { payload, protectedHeader } = await compactVerify(jws, key, { algorithms: [jwk.alg] })
  return { header: protectedHeader, payload: Buffer.from(payload).toString() }
}

/** The header and the claims of a JWT. */
export function decoded(jwt: string): {
  header: Record<string, unknown>
  claims: Record<string, unknown>
} {
  const [header = '', payload = ''] = jwt.split('.')
  const parse = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())
  return { header: parse(header), claims: parse(payload) }
}
