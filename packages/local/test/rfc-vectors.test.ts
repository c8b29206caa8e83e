import { createSigner, type JwsAlgorithm, signJws } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { describe, expect, it } from 'vitest'
import { verifiesOctetsWithNode, verifiesWithNode } from '../../core/test/verification.ts'
import { a2, a3, a4, ed25519 } from './rfc-keys.ts'

/** The signing input and the signature of a JWS that stands in an RFC. */
function parts(jws: string): [Buffer, Buffer] {
  const dot = jws.lastIndexOf('.')
  return [Buffer.from(jws.slice(0, dot)), Buffer.from(jws.slice(dot + 1), 'base64url')]
}

describe.each([
  ['RFC 7515 A.2', 'RS256', a2],
  ['RFC 8037 A.4', 'EdDSA', ed25519],
] as const)('%s', (_, alg, { key, jws }) => {
  it(`gives for ${alg} the signature that stands there, octet for octet`, async () => {
    const signer = await localSigner({ key, alg })
    const [signingInput, signature] = parts(jws)
    expect(Buffer.from(await signer.sign(signingInput))).toEqual(signature)
  })
})

describe.each([
  ['RFC 7515 A.3', 'ES256', a3],
  ['RFC 7515 A.4', 'ES512', a4],
] as const)('%s', (_, alg, { key, jws }) => {
  it(`verifies for ${alg} with the public key of its signer, which signs the same input`, async () => {
    const signer = await localSigner({ key, alg })
    const [signingInput, signature] = parts(jws)
    expect(verifiesOctetsWithNode(signingInput, signature, signer.publicJwk)).toBe(true)
    const own = await signer.sign(signingInput)
    expect(own).toHaveLength(signature.byteLength)
    expect(verifiesOctetsWithNode(signingInput, own, signer.publicJwk)).toBe(true)
    expect(signer.publicJwk).toMatchObject({ x: key.x, y: key.y })
  })
})

it('each signature of the RFCs passes the gate of a signer, and none passes another one', async () => {
  const all: [JwsAlgorithm, typeof a2 | typeof a3 | typeof a4 | typeof ed25519][] = [
    ['RS256', a2],
    ['ES256', a3],
    ['ES512', a4],
    ['EdDSA', ed25519],
  ]
  for (const [alg, { key, jws }] of all) {
    const { publicJwk } = await localSigner({ key, alg })
    const [signingInput, signature] = parts(jws)
    const replay = createSigner({
      name: 'rfc',
      alg,
      publicKey: { ...publicJwk },
      sign: () => signature,
    })
    expect(await replay.sign(signingInput)).toEqual(new Uint8Array(signature))
    await expect(replay.sign(Buffer.from('other'))).rejects.toMatchObject({
      code: 'ERR_SIGNER_INTEGRITY',
    })
  }
})

it('the JWS of RFC 8037 A.4 carries no kid, and ours carries its thumbprint', async () => {
  const signer = await localSigner({ key: ed25519.key })
  expect(signer.kid).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
  expect(verifiesWithNode(await signJws(signer, 'x'), signer.publicJwk)).toBe(true)
})
