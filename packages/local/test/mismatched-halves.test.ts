import { algorithms, type Jwk, type JwsAlgorithm } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { describe, expect, it } from 'vitest'
import { keyPair, oddKeyPair, runnable } from '../../core/test/keys.ts'
import { refusal } from '../../core/test/outcome.ts'

const jwkOf = (alg: JwsAlgorithm, which: 'own' | 'other' = 'own'): Jwk =>
  keyPair(alg, which).privateKey.export({ format: 'jwk' })

async function refusedWith(key: object, code: string, alg?: JwsAlgorithm) {
  const error = await refusal(() => localSigner({ key: key as Jwk, alg }))
  expect(error.code).toBe(code)
  expect(error.backend).toBe('local')
  return error
}

describe('a JWK whose halves do not belong together', () => {
  const members = { EC: ['d'], RSA: ['n'], OKP: ['d', 'x'], AKP: ['priv', 'pub'] } as const
  const swaps = runnable.flatMap((alg) =>
    members[algorithms[alg].kty].map((member) => [alg, member] as const),
  )

  it.each(swaps)('is refused for %s with the %s of another key', async (alg, member) => {
    const key = { ...jwkOf(alg), [member]: jwkOf(alg, 'other')[member] }
    const error = await refusedWith(key, 'ERR_SIGNER_INTEGRITY', alg)
    expect(error.message).toMatch(/damaged, or does not belong to the public key/)
  })

  it('is refused for EC with both coordinates of another key', async () => {
    const { x, y } = jwkOf('ES256', 'other')
    await refusedWith({ ...jwkOf('ES256'), x, y }, 'ERR_SIGNER_INTEGRITY')
  })
})

describe('a JWK with a damaged private half', () => {
  const order = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
  const privates: [string, string][] = [
    ['zero', 'AA'],
    ['nothing', ''],
    ['the order of the curve', Buffer.from(order, 'hex').toString('base64url')],
    ['too many octets', Buffer.alloc(64, 7).toString('base64url')],
  ]

  it.each(privates)('is refused for ES256 with %s, and promptly', async (_, d) => {
    await refusedWith({ ...jwkOf('ES256'), d }, 'ERR_SIGNER_INTEGRITY')
  })

  it.each(['p', 'q'])('is refused for RS256 with a zero for %s', async (member) => {
    await refusedWith({ ...jwkOf('RS256'), [member]: 'AA' }, 'ERR_SIGNER_INTEGRITY')
  })

  it('is refused for RS256 with an even modulus', async () => {
    const n = Buffer.from(String(jwkOf('RS256').n), 'base64url')
    n[n.byteLength - 1] = 2
    await refusedWith({ ...jwkOf('RS256'), n: n.toString('base64url') }, 'ERR_SIGNER_INTEGRITY')
  })

  it.each(['d', 'x'])('is refused for EdDSA when %s has the wrong length', async (member) => {
    for (const value of ['', 'AQID', Buffer.alloc(33, 1).toString('base64url')]) {
      const error = await refusal(() =>
        localSigner({ key: { ...jwkOf('EdDSA'), [member]: value } }),
      )
      expect(['ERR_SIGNER_INTEGRITY', 'ERR_SIGNER_KEY_UNSUPPORTED']).toContain(error.code)
    }
  })

  it.each([[7], [null], [{}], [['x']]])('is refused when d is %o', async (d) => {
    await refusedWith({ ...jwkOf('ES256'), d: d as unknown as string }, 'ERR_SIGNER_INTEGRITY')
  })
})

describe('an encoded key whose halves do not belong together', () => {
  it('is refused as SEC1 with the public point of another key', async () => {
    const point = (which: 'own' | 'other') => {
      const { x, y } = jwkOf('ES256', which)
      return Buffer.concat([x, y].map((member) => Buffer.from(String(member), 'base64url')))
    }
    const der = keyPair('ES256').privateKey.export({ format: 'der', type: 'sec1' })
    const at = der.indexOf(point('own'))
    expect(at).toBeGreaterThan(0)
    der.set(point('other'), at)
    const error = await refusal(() => localSigner({ key: der }))
    expect(['ERR_SIGNER_INTEGRITY', 'ERR_SIGNER_KEY_UNSUPPORTED']).toContain(error.code)
  })
})

describe('a JWK that is merely not canonical', () => {
  it('is read, and published in its canonical form', async () => {
    const rsa = jwkOf('RS256')
    const zeroLed = (value: unknown) =>
      Buffer.concat([Buffer.of(0), Buffer.from(String(value), 'base64url')]).toString('base64url')
    const signer = await localSigner({ key: { ...rsa, n: zeroLed(rsa.n) } })
    expect(signer.publicJwk.n).toBe(rsa.n)
    const key = oddKeyPair('ec', { namedCurve: 'P-521', odd: 1 }).privateKey.export({
      format: 'jwk',
    })
    const padded = { ...key, x: zeroLed(key.x), y: zeroLed(key.y), d: zeroLed(key.d) }
    expect((await localSigner({ key: padded })).publicJwk).toMatchObject({ x: key.x, y: key.y })
  })
})
