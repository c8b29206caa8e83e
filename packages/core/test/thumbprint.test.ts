import { thumbprint } from '@countersign/core'
import { calculateJwkThumbprint } from 'jose'
import { describe, expect, it } from 'vitest'
import { keyPair, runnable } from './keys.ts'

// RFC 7638 §3.1
const example = {
  kty: 'RSA',
  n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
  e: 'AQAB',
  alg: 'RS256',
  kid: '2011-04-29',
}

describe('a thumbprint', () => {
  it('of the example in RFC 7638 §3.1 is the one given there', () => {
    expect(thumbprint(example)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
  })

  it('of the Ed25519 key in RFC 8037 A.3 is the one given there', () => {
    const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
    expect(thumbprint({ kty: 'OKP', crv: 'Ed25519', x })).toBe(
      'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
    )
  })

  it.each(runnable)('of a key for %s is what jose computes, public or private', async (alg) => {
    const { publicKey, privateKey } = keyPair(alg)
    for (const key of [publicKey, privateKey]) {
      const jwk = { kty: '', ...key.export({ format: 'jwk' }) }
      expect(thumbprint(jwk)).toBe(await calculateJwkThumbprint(jwk))
    }
  })

  it.each([
    {},
    { kty: 'oct', k: 'x' },
    { kty: 7 },
    { kty: '__proto__' },
    { kty: 'constructor' },
    { kty: 'RSA', n: 'x' },
    { kty: 'EC', crv: 'P-256', x: 'x', y: 7 },
    { kty: 'AKP', pub: 'x' },
  ])('of %o is a TypeError', (jwk) => {
    expect(() => thumbprint(jwk)).toThrow(/^"jwk\.\w+" must be/)
  })
})
