import { createHash } from 'node:crypto'
import {
  assertionProvider,
  type ClientAssertionOptions,
  clientAssertion,
  createSigner,
  rotating,
  type Signer,
  SignerError,
  type SignerSource,
  signJwt,
  spkiThumbprint,
} from '@countersign/core'
import { describe, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { keyPair, runnable } from './keys.ts'
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

describe('the kid of an assertion', () => {
  it('is the signer’s, or the caller’s, or absent', async () => {
    expect(decoded(await make()).header['kid']).toBe(signer.kid)
    expect(decoded(await make({ kid: 'registered-key' })).header['kid']).toBe('registered-key')
    const without = await make({ kid: null })
    expect(decoded(without).header).toEqual({ alg: 'ES256', typ: 'client-authentication+jwt' })
    expect(verifiesWithNode(without, signer.publicJwk)).toBe(true)
  })

  it.each(runnable)('may be the hash of the public key’s SPKI, for %s', async (alg) => {
    const own = createSigner(backend(alg))
    const jwt = await clientAssertion(own, { ...required, kid: spkiThumbprint })
    const spki = keyPair(alg).publicKey.export({ type: 'spki', format: 'der' })
    const expected = createHash('sha256').update(spki).digest('base64url')
    expect(decoded(jwt).header).toMatchObject({ alg, kid: expected })
    expect(verifiesWithNode(jwt, own.publicJwk)).toBe(true)
  })

  it('is made from the key that signs, when a rotating signer goes over to another one', async () => {
    const disabled = new SignerError('ERR_SIGNER_KEY_DISABLED', 'disabled')
    const keys = [
      createSigner(backend('ES256', { sign: () => Promise.reject(disabled) })),
      createSigner(backend('ES384')),
    ]
    const source = rotating(async () => keys.shift() as Signer)
    const jwt = await clientAssertion(source, { ...required, kid: spkiThumbprint })
    const next = source.current as Signer
    expect(next.alg).toBe('ES384')
    expect(decoded(jwt).header['kid']).toBe(spkiThumbprint(next.publicJwk))
    await source.close()
  })

  it.each(['', 7, [], {}, () => undefined, () => ''])(
    'is a TypeError when it is %o',
    async (kid) => {
      const error = await thrown(() => make({ kid: kid as string }))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toContain('"kid"')
    },
  )
})

describe('a JWT', () => {
  it('has the claims that it was given and no other', async () => {
    const claims = { iss: '12345', iat: 1, exp: 601, roles: ['a'] }
    const jwt = await signJwt(signer, claims)
    expect(decoded(jwt).header).toEqual({ alg: 'ES256', kid: signer.kid, typ: 'JWT' })
    expect(decoded(jwt).claims).toEqual(claims)
    expect(verifiesWithNode(jwt, signer.publicJwk)).toBe(true)
    expect(decoded(await signJwt(signer, {})).claims).toEqual({})
  })

  it('takes typ, kid and further header members, none of them twice', async () => {
    const options = { typ: 'dpop+jwt', kid: null, header: { jwk: { kty: 'EC' } } }
    const jwt = await signJwt(signer, { htm: 'GET' }, options)
    expect(decoded(jwt).header).toEqual({ alg: 'ES256', typ: 'dpop+jwt', jwk: { kty: 'EC' } })
    for (const member of ['alg', 'kid', 'typ', 'b64', 'crit']) {
      const error = await thrown(() => signJwt(signer, {}, { header: { [member]: 'x' } }))
      expect((error as Error).message).toContain(`"header.${member}"`)
    }
  })

  it.each<[unknown]>([[undefined], [null], ['{}'], [[1]], [7]])(
    'of %o is a TypeError',
    async (claims) => {
      const error = await thrown(() => signJwt(signer, claims as Record<string, unknown>))
      expect(error).toEqual(new TypeError('"claims" must be an object'))
    },
  )

  it('hands the signer the caller’s signal and nothing else', async () => {
    const seen: unknown[] = []
    const spied: Signer = {
      ...signer,
      sign: (input, options) => {
        seen.push(options)
        return signer.sign(input, options)
      },
    }
    const { signal } = new AbortController()
    await signJwt(spied, {}, { signal })
    await clientAssertion(spied, { ...required, signal, claims: { a: 1 } })
    await signJwt(spied, {})
    expect(seen).toEqual([{ signal }, { signal }, undefined])
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
