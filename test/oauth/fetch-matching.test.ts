import { clientSecretBasic, tokenSource } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startDecodingProxy } from '../servers/decoding-proxy.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { closing } from './fixtures.ts'
import { bearerOf, startResource, startTokenSource } from './servers.ts'

describe('the token goes to', () => {
  it.each([
    '',
    '/',
    '/tools',
    '/a/../b',
    '/%7Ea',
    '?page=2',
    '#part',
    '//double',
    '/a;v=1/b',
    '/..x',
  ])('the resource and what is below it: %j', async (rest) => {
    const { source, api, resource, bearers } = await startResource()
    const response = await source.fetch(resource + rest)
    expect(await response.text()).toBe('welcome')
    expect(bearers()).toEqual(['token-1'])
    expect(api.requests).toHaveLength(1)
  })

  it('the resource given as a string, a URL or a Request, in any case of scheme and host', async () => {
    const { source, api, resource, bearers } = await startResource()
    await source.fetch(new URL(resource))
    await source.fetch(new Request(resource))
    await source.fetch(resource.replace('http:', 'HTTP:'))
    await source.fetch(`${api.url}/./mcp`)
    expect(bearers()).toEqual(Array(4).fill('token-1'))
  })
})

describe('no token is sent to, and none is requested for', () => {
  it.each([
    ['a path with the same prefix', '/mcpx'],
    ['a path with the same prefix and a further segment', '/mcp-admin/mcp'],
    ['the folder above', '/'],
    ['another case', '/MCP'],
    ['the folder above, by dots', '/mcp/..'],
    ['a sibling, by dots', '/mcp/../admin'],
    ['a sibling, by encoded dots', '/mcp/%2e%2E/admin'],
    ['a sibling, by an encoded slash', '/mcp/..%2fadmin'],
    ['a sibling, by encoded dots and slash', '/mcp/%2e%2e%2Fadmin'],
    ['a sibling, by a backslash', '/mcp/..\\admin'],
    ['a sibling, by an encoded backslash', '/mcp/..%5Cadmin'],
    ['a sibling, by dots with a parameter', '/mcp/..;v=1/admin'],
    ['a path with an encoded slash, which servers split in different ways', '/mcp/a%2Fb'],
    ['a harmless path with an encoded slash', '/mcp/projects/a%2fb/issues'],
    ['a path that servers decode in different ways', '/mcp/100%25'],
    ['a path that is not UTF-8', '/mcp/%c0%ae%c0%ae/admin'],
    ['a path with an encoded control character', '/mcp/..%00/admin'],
    ['a path with a non-standard encoding', '/mcp/..%u002fadmin'],
    ['a well-known location of the origin', '/.well-known/oauth-protected-resource/mcp'],
    ['a well-known location below the resource', '/mcp/.well-known/openid-configuration'],
    ['a well-known location, encoded', '/mcp/%2Ewell-known/openid-configuration'],
    ['a well-known location, encoded further on', '/mcp/.well%2Dknown/openid-configuration'],
  ])('%s', async (_what, path) => {
    const { source, as, api, bearers } = await startResource()
    const response = await source.fetch(api.url + path)
    expect(await response.text()).toBe('welcome')
    expect(bearers()).toEqual([undefined])
    expect(as.requests).toEqual([])
  })

  it('another origin: another port, another host name, or the host as a user name', async () => {
    const other = closing(await startScriptedServer(() => new Response()))
    const { source, as, api } = await startResource()
    const { host, port } = new URL(api.url)
    await source.fetch(`${other.url}/mcp`)
    await source.fetch(`http://localhost:${port}/mcp`).catch(() => {})
    // The platform's fetch refuses a URL with credentials; this checks that no token is sent.
    const disguised = `http://${host}@${new URL(other.url).host}/mcp`
    await expect(source.fetch(disguised)).rejects.toThrow(TypeError)
    const arrived = [...other.requests, ...api.requests]
    expect(arrived.map(({ headers }) => headers.authorization)).not.toContain('Bearer token-1')
    expect(as.requests).toEqual([])
  })

  it('the token endpoint and the metadata of a server that is resource and issuer', async () => {
    const fixture = await startTokenSource()
    const { as } = fixture
    const authentication = clientSecretBasic('secret')
    const options = { issuer: as.url, clientId: 'agent', authentication, resource: as.url }
    const source = tokenSource({ ...options, now: fixture.clock.now })
    const targets = [
      '/token',
      '/token?grant=x',
      '/tok%65n',
      '//token',
      '/.well-known/openid-configuration',
    ]
    for (const target of targets) await source.fetch(as.url + target, { method: 'POST' })
    await source.fetch(`${as.url}/other`)
    const arrived = as.requests.map(({ path, headers }) => [path, headers.authorization])
    const withBearer = arrived.filter(([, value]) => value?.startsWith('Bearer'))
    expect(withBearer).toEqual([['/other', 'Bearer token-1']])
  })
})

describe("the caller's own Authorization header", () => {
  const headers = { authorization: 'Bearer of-the-caller' }

  it('is replaced by the token in requests to the resource', async () => {
    const { source, resource, bearers } = await startResource()
    await source.fetch(resource, { headers })
    await source.fetch(new Request(resource, { headers }))
    expect(bearers()).toEqual(['token-1', 'token-1'])
  })

  it('is sent unchanged to any other URL', async () => {
    const { source, api, bearers } = await startResource()
    await source.fetch(`${api.url}/other`, { headers })
    expect(bearers()).toEqual(['of-the-caller'])
  })
})

it('without the option "resource", fetch throws and names it', async () => {
  const { source, as } = await startTokenSource()
  await expect(source.fetch(as.url)).rejects.toThrow(/"resource"/)
  expect(as.requests).toEqual([])
})

it('a resource that is neither https nor on loopback is refused', async () => {
  for (const resource of ['http://api.test/mcp', 'https://user:pass@api.test', 'mcp']) {
    await expect(startTokenSource(undefined, { resource })).rejects.toMatchObject({
      name: 'OAuthError',
    })
  }
})

type Reading = Parameters<typeof startDecodingProxy>[1]

const readings: [string, Reading][] = [
  ['decodes, as nginx does', {}],
  ['decodes before a server that decodes again', { passes: 2 }],
  ['drops parameters of segments', { parameters: true }],
  ['drops parameters, before a server that decodes again', { parameters: true, passes: 2 }],
  ['reads a backslash as a slash', { backslashes: true }],
]

/** A resource at `/mcp` of a server behind a proxy. */
async function startBehindProxy(reading: Reading) {
  const api = closing(await startScriptedServer(() => new Response('welcome')))
  const proxy = closing(await startDecodingProxy(api.url, reading))
  const { source } = await startTokenSource(undefined, { resource: `${proxy.origin}/mcp` })
  return {
    async visit(path: string) {
      await source.fetch(proxy.origin + path)
    },
    withToken: () =>
      api.requests.filter(({ headers }) => bearerOf(headers) === 'token-1').map(({ path }) => path),
    all: () => api.requests.map(({ path }) => path),
  }
}

describe.each(readings)('behind a proxy that %s', (_what, reading) => {
  it('the token is never sent outside of its path', async () => {
    const { visit, withToken, all } = await startBehindProxy(reading)
    const escapes = [
      '/mcp//..%2fother',
      '/mcp/x//..%2f..%2fother',
      '/mcp/%2f..%2fother',
      '/mcp//%2e%2e%2fother',
      '/mcp/..%5cother',
      '/mcp/%2e%2e%5Cother',
      '/mcp/%252e%252e/other',
      '/mcp/..%252fother',
      '/mcp/x/..%255c..%255cother',
      '/mcp/..;/other',
      '/mcp/x/..;v=1/%2e%2e;/other',
      '/mcp/..%3b/other',
      '/mcp/..%3B%2fother',
    ]
    for (const path of [...escapes, ...randomPaths(300)]) await visit(path)
    expect(all().filter((path) => path === '/other')).not.toEqual([])
    expect(withToken().filter((path) => !/^\/mcp(\/|$)/.test(path))).toEqual([])
    expect(withToken()).not.toEqual([])
  })

  it('the token is sent to URLs below its path', async () => {
    const { visit, withToken } = await startBehindProxy(reading)
    for (const path of ['/mcp', '/mcp/', '/mcp//a', '/mcp/a/../b', '/mcp/caf%C3%A9', '/mcp/..x'])
      await visit(path)
    expect(withToken()).toHaveLength(6)
  })
})

/** Paths below `/mcp`, made of parts that servers read in different ways; the same paths in each run. */
function randomPaths(count: number): string[] {
  const parts = ['..', '%2e', '%2e%2e', '/', '//', '%2f', '%5c', '\\', '%252f', '%25', ';a', '%3b']
  const names = ['other', 'x', '.', 'mcp']
  let state = 7
  const pick = (list: readonly string[]) => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    return list[Math.floor(state / 65536) % list.length] ?? ''
  }
  return Array.from({ length: count }, () => {
    const length = 2 + Number(pick(['0', '1', '2', '3', '4']))
    return `/mcp/${Array.from({ length }, () => pick([...parts, ...names])).join('')}`
  })
}
