import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { createSigner, type Jwk, type PublicKeyInput, thumbprint } from '@countersign/core'
import { describe, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { keyPair, runnable } from './keys.ts'
import { refusal } from './outcome.ts'

const octets = (value: unknown) => Buffer.from(String(value), 'base64url')
const trimmed = (value: unknown) => {
  const whole = octets(value)
  return whole.subarray(whole.findIndex((octet) => octet !== 0)).toString('base64url')
}
const zeroLed = (value: unknown) =>
  Buffer.concat([Buffer.of(0), octets(value)]).toString('base64url')

describe('the public JWK of a signer', () => {
  it.each(runnable)('has for %s exactly the public members, kid, alg and use', (alg) => {
    const { publicKey } = keyPair(alg)
    const { publicJwk, kid } = createSigner(backend(alg))
    // An AKP key says its "alg" itself.
    const { alg: _, ...own } = publicKey.export({ format: 'jwk' })
    expect(publicJwk).toEqual({ ...own, kid, alg, use: 'sig' })
  })

  it.each(runnable)('has for %s the RFC 7638 thumbprint as kid unless told otherwise', (alg) => {
    const signer = createSigner(backend(alg))
    expect(signer.kid).toBe(thumbprint({ ...signer.publicJwk }))
    expect(signer.kid).toMatch(/^[\w-]{43}$/)
    const named = createSigner(backend(alg), { kid: 'billing-2026' })
    expect([named.kid, named.publicJwk.kid]).toEqual(['billing-2026', 'billing-2026'])
  })

  it('is frozen, and so is the signer', () => {
    const signer = createSigner(backend())
    expect(Object.isFrozen(signer)).toBe(true)
    expect(Object.isFrozen(signer.publicJwk)).toBe(true)
    expect(Object.keys(signer).sort()).toEqual(['alg', 'kid', 'publicJwk', 'sign'])
  })

  it('is the same whether the key comes as KeyObject, JWK, PEM or DER', () => {
    for (const alg of runnable) {
      const { publicKey } = keyPair(alg)
      const forms: PublicKeyInput[] = [
        publicKey,
        publicKey.export({ format: 'jwk' }),
        publicKey.export({ format: 'pem', type: 'spki' }),
        publicKey.export({ format: 'der', type: 'spki' }),
        new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })),
      ]
      const jwks = forms.map((form) => createSigner(backend(alg, { publicKey: form })).publicJwk)
      expect(new Set(jwks.map((jwk) => JSON.stringify(jwk))).size).toBe(1)
    }
  })

  it('drops members that a key service adds to a JWK', () => {
    const publicKey = {
      ...keyPair('ES256').publicKey.export({ format: 'jwk' }),
      kid: 'https://vault/keys/k/1',
      key_ops: ['verify'],
      use: 'enc',
      note: 'MARKER',
    }
    const signer = createSigner(backend('ES256', { publicKey }))
    expect(inspect(signer)).not.toMatch(/MARKER|vault|enc/)
    expect(signer.publicJwk.use).toBe('sig')
  })
})

describe('a JWK that is not canonical', () => {
  it('loses the leading zero octet of an RSA modulus, so that the thumbprint is the right one', () => {
    const right = keyPair('RS256').publicKey.export({ format: 'jwk' })
    const wrong = { ...right, n: zeroLed(right.n), e: zeroLed(right.e) }
    const signer = createSigner(backend('RS256', { publicKey: wrong }))
    expect(signer.publicJwk).toMatchObject({ n: right.n, e: 'AQAB' })
    expect(signer.kid).toBe(thumbprint({ ...right }))
    expect(signer.kid).not.toBe(thumbprint(wrong))
  })

  it('gets back the octet that a short P-521 coordinate lacks', () => {
    const right = shortCoordinate()
    const wrong = { ...right, x: trimmed(right.x) }
    expect(octets(wrong.x).byteLength).toBeLessThan(66)
    const signer = createSigner(backend('ES512', { publicKey: wrong }))
    expect(signer.publicJwk.x).toBe(right.x)
    expect(signer.kid).toBe(thumbprint({ ...right }))
  })

  it('loses the leading zero octet of a P-256 coordinate', () => {
    const right = keyPair('ES256').publicKey.export({ format: 'jwk' })
    const publicKey = { ...right, x: zeroLed(right.x), y: zeroLed(right.y) }
    const { publicJwk } = createSigner(backend('ES256', { publicKey }))
    expect(publicJwk).toMatchObject({ x: right.x, y: right.y })
  })

  it.each<[string, Jwk]>([
    ['a point that is not on the curve', { kty: 'EC', crv: 'P-256', x: 'AQ', y: 'AQ' }],
    ['no coordinates', { kty: 'EC', crv: 'P-256' }],
    ['an unknown curve', { kty: 'EC', crv: 'P-256K', x: 'AQ', y: 'AQ' }],
    ['an unknown key type', { kty: 'PQ' }],
    ['nothing at all', {}],
  ])('is refused when it has %s', async (_, publicKey) => {
    const error = await refusal(() => createSigner(backend('ES256', { publicKey })))
    expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    expect(error.cause).toBeDefined()
  })

  it.each(['', 'garbage', new Uint8Array(0), Buffer.from('garbage')])(
    'is refused when it is no key: %o',
    async (publicKey) => {
      const error = await refusal(() => createSigner(backend('ES256', { publicKey })))
      expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    },
  )
})

/** A P-521 key whose x begins with a zero octet, as every second one does. */
function shortCoordinate(): Jwk {
  for (;;) {
    const { publicKey }: { publicKey: KeyObject } = generateKeyPairSync('ec', {
      namedCurve: 'P-521',
    })
    const jwk = publicKey.export({ format: 'jwk' })
    if (octets(jwk.x)[0] === 0) return jwk
  }
}
