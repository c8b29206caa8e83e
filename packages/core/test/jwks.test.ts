import {
  clientAssertion,
  createSigner,
  jwks,
  type PublicJwk,
  type SignerSource,
} from '@countersign/core'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { keyPair } from './keys.ts'

const current = createSigner(backend('ES256'))
const next = createSigner(backend('ES256', { publicKey: keyPair('ES256', 'other').publicKey }))
const rsa = createSigner(backend('RS256'))

describe('a JWKS', () => {
  it('lists public keys in the order given, each once', () => {
    const { keys } = jwks(current, rsa, next, current)
    expect(keys).toEqual([current.publicJwk, rsa.publicJwk, next.publicJwk])
    expect(jwks()).toEqual({ keys: [] })
  })

  it('is what a verifier finds the key of an assertion in', async () => {
    const set = createLocalJWKSet(jwks(next, current, rsa) as unknown as JSONWebKeySet)
    for (const signer of [current, rsa]) {
      const jwt = await clientAssertion(signer, { clientId: 'c', audience: 'a' })
      const { payload } = await jwtVerify(jwt, set, { audience: 'a', issuer: 'c', subject: 'c' })
      expect(payload.aud).toBe('a')
    }
  })

  it('refuses two keys with one kid, and one key with two algorithms under one kid', () => {
    const [a, b] = [
      createSigner(backend('ES256'), { kid: 'k' }),
      createSigner(backend('ES384'), { kid: 'k' }),
    ]
    expect(() => jwks(a, b)).toThrow(/^two keys, or two algorithms of one key, have the kid "k"/)
    expect(() => jwks(rsa, createSigner(backend('PS256')))).toThrow(TypeError)
    const named = createSigner(backend('PS256'), { kid: 'pss' })
    expect(jwks(rsa, named).keys.map(({ alg }) => alg)).toEqual(['RS256', 'PS256'])
  })

  it.each(['d', 'p', 'priv', 'k'])(
    'refuses a key of a third party that shows its "%s"',
    (member) => {
      const publicJwk = { ...current.publicJwk, [member]: 'MARKER' } as PublicJwk
      const call = () => jwks({ ...current, publicJwk })
      expect(call).toThrow(/private member/)
      expect(call).not.toThrow(/MARKER/)
    },
  )

  it('refuses what is no signer', () => {
    for (const source of [undefined, null, {}, current.publicJwk]) {
      expect(() => jwks(source as SignerSource)).toThrow(TypeError)
    }
  })
})
