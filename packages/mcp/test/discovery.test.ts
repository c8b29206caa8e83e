import type { ClientCredentialsProviderOptions } from '@countersign/mcp'
import { describe, expect, it } from 'vitest'
import { type Answers, mcp, post, startServers } from './servers.ts'

const as = 'https://as.example'
const other = 'https://other.example'

const names = (authorization_servers?: string[], resource = mcp) =>
  ({ resourceMetadata: () => Response.json({ resource, authorization_servers }) }) as const
const responds = (status: number, headers?: HeadersInit) =>
  ({
    resourceMetadata: () => new Response(null, { status, ...(headers && { headers }) }),
  }) as const

describe('the authorization server is', () => {
  it.each<[string, Partial<Answers>, Partial<ClientCredentialsProviderOptions>, string]>([
    ['the first one that the resource names', names([as, other]), {}, as],
    ['the origin, if the metadata names none', names(), {}, 'https://mcp.example'],
    ['the origin, if there is no metadata', responds(404), {}, 'https://mcp.example'],
    ['the origin, if the metadata is refused', responds(400), {}, 'https://mcp.example'],
    ['the pinned one, if the resource names it', names([as, other]), { issuer: other }, other],
    ['the pinned one, if the resource names none', names([]), { issuer: other }, other],
    ['the pinned one, if there is no metadata', responds(404), { issuer: other }, other],
  ])('%s', async (_what, answers, settings, expected) => {
    const { provider, issuers } = startServers(answers, settings)
    expect((await provider.fetch(mcp, post())).status).toBe(200)
    expect(issuers).toEqual([expected])
  })

  it.each<[string, Partial<Answers>, Partial<ClientCredentialsProviderOptions>, object]>([
    [
      'the resource names others than the pinned one',
      names(['1', '2', '3', '4', '5', '6'].map((number) => `https://as-${number}.example`)),
      { issuer: as },
      {
        code: 'ERR_OAUTH_ISSUER_MISMATCH',
        message:
          'The resource https://mcp.example/mcp names the authorization servers https://as-1.example, https://as-2.example, https://as-3.example, https://as-4.example, https://as-5.example, and not the pinned https://as.example; nothing was signed',
      },
    ],
    [
      'the metadata is not metadata',
      { resourceMetadata: () => new Response('hello') },
      {},
      { code: 'ERR_OAUTH_DISCOVERY', status: undefined },
    ],
    ['the metadata redirects', responds(302), {}, { code: 'ERR_OAUTH_DISCOVERY', status: 302 }],
    ['the resource is unavailable', responds(503), {}, { code: 'ERR_OAUTH_UNAVAILABLE' }],
    [
      'the origin is not one',
      { ...responds(404), noServer: new Map([['https://mcp.example', 404]]) },
      {},
      {
        code: 'ERR_OAUTH_DISCOVERY',
        status: 404,
        message: expect.stringMatching(
          /^The resource at https:\/\/mcp\.example does not say where to get a token, and its origin is not an authorization server: https:\/\/mcp\.example publishes no metadata: .* Pin the authorization server whose tokens it accepts with the option "issuer"$/,
        ),
        cause: { code: 'ERR_OAUTH_DISCOVERY' },
      },
    ],
    [
      'the origin is unavailable',
      { ...responds(404), noServer: new Map([['https://mcp.example', 503]]) },
      {},
      {
        code: 'ERR_OAUTH_UNAVAILABLE',
        message: 'https://mcp.example answered the request for its metadata with HTTP status 503',
      },
    ],
  ])('not used when %s', async (_what, answers, settings, error) => {
    const { provider, issuers } = startServers(answers, settings)
    await expect(provider.fetch(mcp, post())).rejects.toMatchObject(error)
    expect(issuers).toEqual([])
  })
})

describe('a failed discovery', () => {
  it('is not repeated at once after the third failure in a row', async () => {
    const { provider, answers, received, issuers, advance } = startServers(responds(503))
    const requests = async () => {
      received.length = 0
      const failed = provider.fetch(mcp, post())
      await expect(failed).rejects.toMatchObject({ code: 'ERR_OAUTH_UNAVAILABLE' })
      return received.length
    }
    expect([await requests(), await requests(), await requests()]).toEqual([3, 3, 3])
    expect(await requests()).toBe(1)
    advance(1)
    Object.assign(answers, names([as]))
    await provider.fetch(mcp, post())
    expect(issuers).toEqual([as])
  })

  it('is not repeated before the time that the resource asks for', async () => {
    const { provider, received, advance } = startServers(responds(503, { 'retry-after': '120' }))
    const requests = async () => {
      received.length = 0
      await provider.fetch(mcp, post()).catch(() => {})
      return received.length
    }
    expect([await requests(), await requests()]).toEqual([3, 1])
    advance(119)
    expect(await requests()).toBe(1)
    advance(60)
    expect(await requests()).toBe(3)
  })
})

describe('a resource that refuses its token', () => {
  it.each<[string, Partial<Answers>, readonly string[]]>([
    ['names another authorization server', names([other]), [as, other]],
    ['has an authorization server with another endpoint', { tokenPath: '/other' }, [as, as]],
    ['has another identifier', names([as], 'https://mcp.example'), [as, as]],
  ])('gets another one if it %s', async (_what, changes, expected) => {
    const { provider, answers, issuers, authorizationsAt } = startServers({
      resource: ({ headers }) =>
        headers.get('authorization') === `Bearer token-${issuers.length}`
          ? new Response('done')
          : new Response('no', { status: 401 }),
    })
    await provider.fetch(mcp, post())
    Object.assign(answers, changes)
    Object.assign(answers, {
      resource: ({ headers }: { headers: Headers }) =>
        headers.get('authorization') === 'Bearer token-3'
          ? new Response('done')
          : new Response('no', { status: 401 }),
    })
    // The second token is from the same target, as each source renews its token once.
    expect((await provider.fetch(mcp, post())).status).toBe(200)
    expect(issuers).toEqual([as, ...expected])
    expect(authorizationsAt(mcp).at(-1)).toBe('Bearer token-3')
  })

  it('is asked for its authorization server once, and then only after a delay', async () => {
    const { provider, received, issuers } = startServers({
      resource: () => new Response('no', { status: 401 }),
    })
    const refused = {
      code: 'ERR_OAUTH_TOKEN_REFUSED',
      message:
        'The resource https://mcp.example/mcp answers with HTTP status 401 to the token that https://as.example issued for it; no other token was requested',
    }
    await expect(provider.fetch(mcp, post())).rejects.toMatchObject(refused)
    await expect(provider.fetch(mcp, post())).rejects.toMatchObject(refused)
    received.length = 0
    await expect(provider.fetch(mcp, post())).rejects.toMatchObject(refused)
    expect(received.filter(({ url }) => url.pathname.includes('.well-known'))).toEqual([])
    expect(issuers.length).toBeLessThanOrEqual(4)
  })
})

describe('the metadata of an authorization server', () => {
  it('that is old is discovered again when no token can be requested', async () => {
    const { provider, answers, issuers, advance } = startServers(
      {},
      { metadataLifetimeSeconds: 1000 },
    )
    await provider.fetch(mcp, post())
    answers.refusals.set(as, () => Response.json({ error: 'invalid_grant' }, { status: 400 }))
    advance(999)
    await expect(provider.fetch(mcp, post())).rejects.toMatchObject({ error: 'invalid_grant' })
    Object.assign(answers, names([other]))
    advance(1)
    expect((await provider.fetch(mcp, post())).status).toBe(200)
    expect(issuers).toEqual([as, other])
  })
})
