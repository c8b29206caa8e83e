import {
  type ClientAuthentication,
  clientSecretBasic,
  clientSecretPost,
  type Secret,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { metadata } from './fixtures.ts'

async function sentBy(authentication: ClientAuthentication, client_id: string) {
  const body = new URLSearchParams({ client_id, grant_type: 'client_credentials' })
  const headers = new Headers()
  await authentication(metadata(), { client_id }, body, headers)
  return { body, headers }
}

function credentialsIn(headers: Headers): string {
  const [scheme, value = ''] = headers.get('authorization')?.split(' ') ?? []
  expect(scheme).toBe('Basic')
  return Buffer.from(value, 'base64').toString()
}

describe('clientSecretBasic', () => {
  it.each([
    ['agent', 'secret', 'agent:secret'],
    ['a:b', 'c:d', 'a%3Ab:c%3Ad'],
    ['a b', 'c+d', 'a+b:c%2Bd'],
    ['100%', '%41', '100%25:%2541'],
    ['https://client.test/id?a=b&c', 's', 'https%3A%2F%2Fclient.test%2Fid%3Fa%3Db%26c:s'],
    ['*-._~', "!'()", '*-._%7E:%21%27%28%29'],
    ['ü', '鍵🔑', '%C3%BC:%E9%8D%B5%F0%9F%94%91'],
  ])('joins %j and %j in the encoding of RFC 6749 §2.3.1', async (id, secret, expected) => {
    const { headers } = await sentBy(clientSecretBasic(secret), id)
    expect(credentialsIn(headers)).toBe(expected)
  })

  it('adds neither client nor secret to the body', async () => {
    const { body } = await sentBy(clientSecretBasic('secret'), 'agent')
    expect([...body.keys()].sort()).toEqual(['client_id', 'grant_type'])
  })
})

describe('clientSecretPost', () => {
  it('adds client and secret to the body', async () => {
    const { body, headers } = await sentBy(clientSecretPost('s+ %&=ü'), 'a&b')
    expect(Object.fromEntries(new URLSearchParams(body.toString()))).toEqual({
      grant_type: 'client_credentials',
      client_id: 'a&b',
      client_secret: 's+ %&=ü',
    })
    expect([...headers]).toEqual([])
  })
})

describe.each([clientSecretBasic, clientSecretPost])('$name', (make) => {
  it.each(['', undefined, null, 7, Buffer.from('secret')])('refuses %j as a secret', (secret) => {
    expect(() => make(secret as Secret)).toThrow(TypeError)
  })

  it.each(['', undefined, 7])('refuses %j from the function', async (secret) => {
    const authentication = make(() => secret as string)
    await expect(sentBy(authentication, 'agent')).rejects.toThrow(TypeError)
  })

  it('throws what the function throws', async () => {
    const reason = new Error('the vault is closed')
    const authentication = make(() => Promise.reject(reason))
    await expect(sentBy(authentication, 'agent')).rejects.toBe(reason)
  })

  it('is refused for another issuer than the pinned one, and the secret is not read', async () => {
    let reads = 0
    const authentication = make(() => {
      reads += 1
      return 'secret'
    })
    const [body, headers] = [new URLSearchParams(), new Headers()]
    const options = { issuer: 'https://honest.test' }
    const authenticating = authentication(metadata(), { client_id: 'a' }, body, headers, options)
    await expect(authenticating).rejects.toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
    expect([reads, [...body], [...headers]]).toEqual([0, [], []])
  })

  it('is frozen, and names its method', () => {
    const authentication = make('secret')
    expect(Object.isFrozen(authentication)).toBe(true)
    expect(authentication.method).toBe(
      make === clientSecretPost ? 'client_secret_post' : 'client_secret_basic',
    )
    expect(authentication.alg).toBeUndefined()
  })
})
