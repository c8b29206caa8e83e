import {
  assertionProvider,
  type ClientAssertionOptions,
  clientAssertion,
  createSigner,
  type SignerSource,
} from '@countersign/core'
import { describe, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { runnable } from './keys.ts'
import { thrown } from './outcome.ts'
import { decoded, verifiesWithNode } from './verification.ts'

const signer = createSigner(backend())
const required = { clientId: 'billing-agent', audience: 'https://as.example.com' }
const make = (options: Partial<ClientAssertionOptions> = {}) =>
  clientAssertion(signer, { ...required, ...options })

describe('a client assertion', () => {
  it('has exactly the header and the claims of RFC 7523, in one string each', async () => {
    const before = Math.floor(Date.now() / 1000)
    const jwt = await make()
    const after = Math.floor(Date.now() / 1000)
    expect(jwt).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    const { header, claims } = decoded(jwt)
    expect(header).toEqual({ alg: 'ES256', kid: signer.kid, typ: 'client-authentication+jwt' })
    const { iat, exp, jti, ...parties } = claims
    expect(parties).toEqual({
      iss: 'billing-agent',
      sub: 'billing-agent',
      aud: 'https://as.example.com',
    })
    expect(iat).toBeGreaterThanOrEqual(before)
    expect(iat).toBeLessThanOrEqual(after)
    expect(exp).toBe(Number(iat) + 60)
    expect(jti).toMatch(/^[\w-]{22}$/)
    expect(verifiesWithNode(jwt, signer.publicJwk)).toBe(true)
  })

  it.each(runnable)('is signed with %s, and says so', async (alg) => {
    const own = createSigner(backend(alg))
    const jwt = await clientAssertion(own, required)
    expect(decoded(jwt).header).toMatchObject({ alg, kid: own.kid })
    expect(verifiesWithNode(jwt, own.publicJwk)).toBe(true)
  })

  it('keeps client IDs and audiences of any characters', async () => {
    const odd = [
      '"},{"iss":"evil"',
      'Zoë ☃ \u{1f511}',
      'a\\b\n\u2028\u0000',
      ' ',
      '__proto__',
      '\ud800',
    ]
    for (const clientId of odd) {
      for (const audience of odd) {
        const { claims } = decoded(await make({ clientId, audience }))
        expect(claims).toMatchObject({ iss: clientId, sub: clientId, aud: audience })
        expect(Object.keys(claims)).toHaveLength(6)
      }
    }
  })

  it('takes no part of an earlier assertion into another', async () => {
    const other = createSigner(backend('ES384'), { kid: 'other' })
    const calls = [
      { by: signer, clientId: 'a', audience: 'x', typ: 'JWT' },
      { by: signer, clientId: 'b', audience: 'x', typ: 'JWT' },
      { by: signer, clientId: 'b', audience: 'y', typ: 'JWT' },
      { by: other, clientId: 'b', audience: 'y', typ: 'JWT' },
      { by: signer, clientId: 'b', audience: 'y', typ: 'client-authentication+jwt' },
      { by: signer, clientId: 'a', audience: 'x', typ: 'JWT' },
    ]
    for (const { by, clientId, audience, typ } of calls) {
      const jwt = await clientAssertion(by, { clientId, audience, typ })
      const { header, claims } = decoded(jwt)
      expect(header).toEqual({ alg: by.alg, kid: by.kid, typ })
      expect(claims).toMatchObject({ iss: clientId, sub: clientId, aud: audience })
      expect(verifiesWithNode(jwt, by.publicJwk)).toBe(true)
    }
  })

  it('follows a signer that a third party changes underneath', async () => {
    const changing = { ...createSigner(backend('ES256'), { kid: 'old' }) }
    const steps = [
      ['ES256', 'new'],
      ['ES384', 'new'],
      ['ES384', 'newer'],
    ] as const
    await clientAssertion(changing, required)
    for (const [alg, kid] of steps) {
      Object.assign(changing, createSigner(backend(alg), { kid }))
      const jwt = await clientAssertion(changing, required)
      expect(decoded(jwt).header).toMatchObject({ alg, kid })
      expect(verifiesWithNode(jwt, changing.publicJwk)).toBe(true)
    }
  })

  it('rejects with the reason of an abort', async () => {
    expect(await thrown(() => make({ signal: AbortSignal.abort('enough') }))).toBe('enough')
  })
})

describe('the clock', () => {
  it.each([
    [1_700_000_000_000, 1_700_000_000],
    [1_700_000_000_001, 1_700_000_000],
    [1_700_000_000_999, 1_700_000_000],
    [1_700_000_000_999.999, 1_700_000_000],
    [999, 0],
  ])('at %d ms gives an iat of %d, never in the future', async (now, iat) => {
    const { claims } = decoded(await make({ now: () => now, lifetimeSeconds: 5 }))
    expect(claims).toMatchObject({ iat, exp: iat + 5 })
  })

  it('is read for each assertion', async () => {
    let now = 1_000_000
    const provide = assertionProvider(signer, { clientId: 'c', now: () => now })
    expect(decoded(await provide('a')).claims['iat']).toBe(1000)
    now += 5000
    expect(decoded(await provide('a')).claims['iat']).toBe(1005)
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, undefined, 'soon', new Date('none')])(
    'is a TypeError when it returns %s',
    async (now) => {
      const error = await thrown(() => make({ now: () => now as number }))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toContain('"now"')
    },
  )
})

describe('misuse', () => {
  it.each([0, -1, 60.5, 3601, Number.NaN, Number.POSITIVE_INFINITY, '60', null, 60n])(
    'a lifetime of %s is a TypeError',
    async (lifetimeSeconds) => {
      const error = await thrown(() => make({ lifetimeSeconds: lifetimeSeconds as number }))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toMatch(/"lifetimeSeconds".*1 to 3600/)
    },
  )

  it('a lifetime from 1 to 3600 s is none', async () => {
    for (const lifetimeSeconds of [1, 60, 3600]) {
      const { iat, exp } = decoded(await make({ lifetimeSeconds })).claims
      expect(Number(exp) - Number(iat)).toBe(lifetimeSeconds)
    }
  })

  it.each(['clientId', 'audience', 'typ'] as const)(
    '"%s" must be a non-empty string',
    async (option) => {
      for (const value of [
        '',
        null,
        7,
        ['https://as.example.com'],
        new URL('https://as.example.com'),
      ]) {
        const error = await thrown(() => make({ [option]: value }))
        expect(error).toBeInstanceOf(TypeError)
        expect((error as Error).message).toContain(`"${option}"`)
      }
    },
  )

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a JWK', { kty: 'EC' }],
    ['no verb', { ...signer, sign: undefined }],
    ['the algorithm none', { ...signer, alg: 'none' }],
    ['an HMAC', { ...signer, alg: 'HS256' }],
    ['the algorithm __proto__', { ...signer, alg: '__proto__' }],
  ])('%s for a signer is a TypeError', async (_, source) => {
    const error = await thrown(() => clientAssertion(source as SignerSource, required))
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).toContain('signer')
  })

  it('of an assertion provider shows when it is made', () => {
    expect(() => assertionProvider(signer, { clientId: '' })).toThrow(/"clientId"/)
  })
})

describe('an assertion provider', () => {
  it('makes a new assertion for each audience it is asked for', async () => {
    const provide = assertionProvider(signer, {
      ...required,
      lifetimeSeconds: 30,
      claims: { a: 1 },
    })
    const [one, two] = await Promise.all([provide('https://one'), provide('https://two')])
    const [first, second] = [decoded(one).claims, decoded(two).claims]
    expect([first['aud'], second['aud']]).toEqual(['https://one', 'https://two'])
    expect(first['jti']).not.toBe(second['jti'])
    expect(first).toMatchObject({ a: 1, exp: Number(first['iat']) + 30 })
  })
})
