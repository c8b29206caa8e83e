import { type AuthorizationGrantOptions, authorizationGrant, createSigner } from '@countersign/core'
import { describe, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { thrown } from './outcome.ts'
import { decoded, verifiesWithNode } from './verification.ts'

const signer = createSigner(backend())
const required = { issuer: 'https://idp.example.com', subject: 'alice', audience: 'https://as' }

describe('an authorization grant', () => {
  it('names its issuer, its subject and its audience, and is a plain JWT', async () => {
    const jwt = await authorizationGrant(signer, { ...required, now: () => 1_000_500 })
    const { header, claims } = decoded(jwt)
    expect(header).toEqual({ alg: 'ES256', kid: signer.kid, typ: 'JWT' })
    expect(claims).toEqual({
      iss: 'https://idp.example.com',
      sub: 'alice',
      aud: 'https://as',
      iat: 1000,
      exp: 1060,
      jti: expect.stringMatching(/^[\w-]{22}$/),
    })
    expect(verifiesWithNode(jwt, signer.publicJwk)).toBe(true)
  })

  it('takes a typ, a lifetime and further claims', async () => {
    const options = {
      ...required,
      typ: 'oauth-id-jag+jwt',
      lifetimeSeconds: 300,
      claims: { scope: 'x' },
    }
    const { header, claims } = decoded(await authorizationGrant(signer, options))
    expect(header['typ']).toBe('oauth-id-jag+jwt')
    expect(claims['scope']).toBe('x')
    expect(claims['exp']).toBe(Number(claims['iat']) + 300)
  })

  it('for one user is never given out for another, within the same second and at once', async () => {
    const users = ['alice', 'bob', 'carol']
    const issuers = ['https://idp.example.com', 'https://idp.example.org']
    const wanted = [...users, ...users].flatMap((subject) =>
      issuers.map((issuer) => ({ ...required, issuer, subject, now: () => 1_000_500 })),
    )
    const jwts = await Promise.all(wanted.map((options) => authorizationGrant(signer, options)))
    for (const [index, { issuer, subject }] of wanted.entries()) {
      expect(decoded(jwts[index] ?? '').claims).toMatchObject({ iss: issuer, sub: subject })
    }
    expect(new Set(jwts).size).toBe(wanted.length)
  })

  it.each(['issuer', 'subject', 'audience', 'typ'] as const)(
    'is a TypeError without a proper "%s"',
    async (option) => {
      for (const value of ['', 1, null, ['x']]) {
        const options = { ...required, [option]: value } as AuthorizationGrantOptions
        const error = await thrown(() => authorizationGrant(signer, options))
        expect(error).toBeInstanceOf(TypeError)
        expect((error as Error).message).toContain(`"${option}"`)
      }
    },
  )

  it('rejects with the reason of an abort', async () => {
    const options = { ...required, signal: AbortSignal.abort('enough') }
    expect(await thrown(() => authorizationGrant(signer, options))).toBe('enough')
  })
})
