import { authorizationGrant, clientAssertion, createSigner, signJws } from '@countersign/core'
import { afterEach, describe, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { thrown } from './outcome.ts'
import { decoded, verifiesWithNode } from './verification.ts'

type Members = Readonly<Record<string, unknown>>

const signer = createSigner(backend())
const make = (further: { claims?: Members; header?: Members }) =>
  clientAssertion(signer, { clientId: 'c', audience: 'a', ...further })

/** The names as they stand in the JSON text, where a duplicate would show. */
function names(jwt: string, part: 0 | 1): string[] {
  const text = Buffer.from(jwt.split('.')[part] ?? '', 'base64url').toString()
  return [...text.matchAll(/[{,]("(?:[^"\\]|\\.)*"):/g)].map(([, name]) => JSON.parse(name ?? ''))
}

afterEach(() => {
  // @ts-expect-error a test plants it
  delete Object.prototype.nbf
})

describe('custom claims', () => {
  it('stand beside the fixed ones', async () => {
    const claims = { nbf: 5, roles: ['a', 'b'], nested: { iss: 'inner' }, 'ünïcode "x"': '\u2028' }
    const jwt = await make({ claims })
    expect(decoded(jwt).claims).toMatchObject(claims)
    expect(verifiesWithNode(jwt, signer.publicJwk)).toBe(true)
  })

  it.each(['iss', 'sub', 'aud', 'iat', 'exp', 'jti'])('cannot replace %s', async (claim) => {
    for (const value of ['evil', undefined, null, 0, ['a', 'b']]) {
      const error = await thrown(() => make({ claims: { [claim]: value } }))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toBe(`"claims.${claim}" cannot be set or replaced`)
    }
  })

  it('cannot replace one through toJSON, a prototype, a getter or an escape', async () => {
    const hostile = [
      { toJSON: () => ({ iss: 'evil', jti: 'fixed' }) },
      Object.create({ iss: 'evil' }),
      { x: { toJSON: () => 'y","iss":"evil' } },
      { 'x":1,"iss': 'evil' },
      { '\\u0069ss': 'evil' },
      Object.defineProperty({}, 'aud', { value: 'evil', enumerable: false }),
      { [Symbol('iss')]: 'evil' },
    ]
    for (const claims of hostile) {
      const jwt = await make({ claims })
      expect(decoded(jwt).claims).toMatchObject({ iss: 'c', sub: 'c', aud: 'a' })
      expect(names(jwt, 1).filter((name) => name === 'iss')).toEqual(['iss'])
    }
    const getter = {
      get iss() {
        return 'evil'
      },
    }
    expect(await thrown(() => make({ claims: getter }))).toBeInstanceOf(TypeError)
  })

  it('named __proto__ is a claim like any other', async () => {
    const jwt = await make({ claims: JSON.parse('{"__proto__":{"iss":"evil","admin":true}}') })
    expect(names(jwt, 1)).toContain('__proto__')
    expect(decoded(jwt).claims['iss']).toBe('c')
    expect(({} as Members)['admin']).toBeUndefined()
  })

  it('are not taken from a polluted prototype', async () => {
    Object.defineProperty(Object.prototype, 'nbf', {
      value: 1,
      enumerable: true,
      configurable: true,
      writable: true,
    })
    const jwt = await make({ claims: { own: 1 } })
    expect(names(jwt, 1).sort()).toEqual(['aud', 'exp', 'iat', 'iss', 'jti', 'own', 'sub'])
  })

  it('that have no JSON form are left out, or refused by JSON itself', async () => {
    const jwt = await make({ claims: { a: undefined, b: () => {}, c: Symbol('s'), d: 1 } })
    expect(names(jwt, 1).slice(6)).toEqual(['d'])
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    for (const claims of [{ big: 1n }, circular]) {
      expect(await thrown(() => make({ claims }))).toBeInstanceOf(TypeError)
    }
  })

  it.each<[string, unknown]>([
    ['text', 'iss'],
    ['null', null],
    ['an array', [1, 2]],
    ['a number', 1],
  ])('are a TypeError when they are %s', async (_, claims) => {
    const error = await thrown(() => make({ claims: claims as Members }))
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).toContain('"claims"')
  })
})

describe('custom header members', () => {
  it('stand beside the fixed ones', async () => {
    const header = { 'x5t#S256': 'abc', x5c: ['MIIB'] }
    expect(decoded(await make({ header })).header).toEqual({
      alg: 'ES256',
      kid: signer.kid,
      typ: 'client-authentication+jwt',
      ...header,
    })
  })

  it.each(['alg', 'kid', 'typ', 'b64', 'crit'])('cannot set %s of an assertion', async (member) => {
    for (const value of ['none', undefined, ['b64']]) {
      const header = { [member]: value }
      const calls = [
        () => make({ header }),
        () => authorizationGrant(signer, { issuer: 'i', subject: 's', audience: 'a', header }),
      ]
      for (const call of calls) {
        const error = await thrown(call)
        expect(error).toBeInstanceOf(TypeError)
        expect((error as Error).message).toContain(`"header.${member}"`)
      }
    }
  })

  it.each(['alg', 'kid', 'b64', 'crit'])('cannot set %s of a JWS', async (member) => {
    const error = await thrown(() => signJws(signer, 'x', { header: { [member]: 'none' } }))
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).toContain(`"header.${member}"`)
  })

  it('cannot replace one through toJSON', async () => {
    const header = { toJSON: () => ({ alg: 'none' }) }
    for (const jwt of [await make({ header }), await signJws(signer, 'x', { header })]) {
      expect(decoded(jwt.replace(/\.[^.]*\./, '.e30.')).header['alg']).toBe('ES256')
      expect(verifiesWithNode(jwt, signer.publicJwk)).toBe(true)
    }
  })
})
