import { createHook } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { algorithms, clientAssertion, type JwsAlgorithm, signJws } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { describe, expect, it } from 'vitest'
import { keyPair, runnable } from '../../core/test/keys.ts'
import { decoded, verifiedByJose, verifiesWithNode } from '../../core/test/verification.ts'

const signerFor = (alg: JwsAlgorithm) => localSigner({ key: keyPair(alg).privateKey, alg })
// RFC 8812's curve is known to node:crypto only.
const knownToJose = runnable.filter((alg) => alg !== 'ES256K')

describe('a local key', () => {
  it.each(runnable)('signs %s so that node:crypto verifies it', async (alg) => {
    const signer = await signerFor(alg)
    for (const payload of ['', 'x', randomBytes(65_536)]) {
      const jws = await signJws(signer, payload)
      expect(decoded(`${jws.split('.')[0]}.e30`).header).toEqual({ alg, kid: signer.kid })
      expect(verifiesWithNode(jws, signer.publicJwk)).toBe(true)
    }
  })

  it.each(knownToJose)('signs %s so that jose verifies it', async (alg) => {
    const signer = await signerFor(alg)
    const jwt = await clientAssertion(signer, { clientId: 'c', audience: 'https://as.example.com' })
    const { header, payload } = await verifiedByJose(jwt, signer.publicJwk)
    expect(header).toEqual({ alg, kid: signer.kid, typ: 'client-authentication+jwt' })
    expect(JSON.parse(payload)).toMatchObject({ iss: 'c', sub: 'c', aud: 'https://as.example.com' })
  })

  it.each(runnable)('signs %s so that another key does not verify it', async (alg) => {
    const jws = await signJws(await signerFor(alg), 'payload')
    const other = await localSigner({ key: keyPair(alg, 'other').privateKey, alg })
    expect(verifiesWithNode(jws, other.publicJwk)).toBe(false)
    if (alg === 'ES256K') return
    await expect(verifiedByJose(jws, other.publicJwk)).rejects.toMatchObject({
      code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
    })
  })

  it.each(['ES256', 'ES384', 'ES512', 'ES256K'] as const)(
    'signs %s at the exact width, 600 times over',
    async (alg) => {
      const signer = await signerFor(alg)
      for (let round = 0; round < 600; round++) {
        const signature = await signer.sign(randomBytes(8))
        expect(signature.byteLength).toBe(algorithms[alg].signatureLength)
      }
    },
  )

  it.each(['RS256', 'PS256', 'ES256', 'EdDSA'] as const)(
    'signs %s for 100 callers at once, each with his own',
    async (alg) => {
      const signer = await signerFor(alg)
      const payloads = Array.from({ length: 100 }, (_, index) => `payload ${index}`)
      const all = await Promise.all(payloads.map((payload) => signJws(signer, payload)))
      all.forEach((jws, index) => {
        expect(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()).toBe(payloads[index])
        expect(verifiesWithNode(jws, signer.publicJwk)).toBe(true)
      })
    },
  )
})

describe('the thread', () => {
  async function poolJobs(alg: JwsAlgorithm): Promise<number> {
    const signer = await signerFor(alg)
    const requests = new Set<number>()
    let jobs = 0
    // Every signature is a request; only those of the pool come back to the event loop later.
    const hook = createHook({
      init: (id, type) => type === 'SIGNREQUEST' && requests.add(id),
      before: (id) => requests.has(id) && jobs++,
    }).enable()
    try {
      for (let round = 0; round < 3; round++) await signer.sign(randomBytes(8))
    } finally {
      hook.disable()
    }
    expect(requests.size).toBe(3)
    return jobs
  }

  it('of an RSA signature is one of the pool', async () => {
    for (const alg of ['RS256', 'RS512', 'PS384'] as const) expect(await poolJobs(alg)).toBe(3)
  })

  it('of an ECDSA or EdDSA signature is the calling one', async () => {
    for (const alg of ['ES256', 'ES512', 'ES256K', 'EdDSA', 'Ed25519'] as const) {
      expect(await poolJobs(alg)).toBe(0)
    }
  })
})
