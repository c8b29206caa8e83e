import { clientSecretBasic, tokenSource } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedServer } from '../servers/scripted-server.js'
import { closing } from './fixtures.ts'
import { startResource, startTokenSource } from './servers.ts'

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

  it('the resource however it is named: as a text, a URL or a Request, in any case of its host', async () => {
    const { source, api, resource, bearers } = await startResource()
    await source.fetch(new URL(resource))
    await source.fetch(new Request(resource))
    await source.fetch(resource.replace('http:', 'HTTP:'))
    await source.fetch(`${api.url}/./mcp`)
    expect(bearers()).toEqual(Array(4).fill('token-1'))
  })
})

describe('neither the token nor any request for one goes to', () => {
  it.each([
    ['a path that only begins alike', '/mcpx'],
    ['a path that continues without a slash', '/mcp-admin/mcp'],
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
    ['a path that servers split in different ways', '/mcp/a%2Fb'],
    ['a path that servers decode in different ways', '/mcp/100%25'],
    ['a path that is not UTF-8', '/mcp/%c0%ae%c0%ae/admin'],
    ['a path with an encoded control character', '/mcp/..%00/admin'],
    ['a path with an encoding of its own kind', '/mcp/..%u002fadmin'],
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

  it('another origin, whether by its port, its name, or behind the name of a user', async () => {
    const other = closing(await startScriptedServer(() => new Response()))
    const { source, as, api } = await startResource()
    const { host, port } = new URL(api.url)
    await source.fetch(`${other.url}/mcp`)
    await source.fetch(`http://localhost:${port}/mcp`).catch(() => {})
    // The platform's fetch takes no URL with credentials; what matters is that it is not asked with a token.
    const disguised = `http://${host}@${new URL(other.url).host}/mcp`
    await expect(source.fetch(disguised)).rejects.toThrow(TypeError)
    const arrived = [...other.requests, ...api.requests]
    expect(arrived.map(({ headers }) => headers.authorization)).not.toContain('Bearer token-1')
    expect(as.requests).toEqual([])
  })

  it('the token endpoint and the metadata, when the server is resource and issuer at once', async () => {
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

  it('gives way to the token at the resource', async () => {
    const { source, resource, bearers } = await startResource()
    await source.fetch(resource, { headers })
    await source.fetch(new Request(resource, { headers }))
    expect(bearers()).toEqual(['token-1', 'token-1'])
  })

  it('is left alone anywhere else', async () => {
    const { source, api, bearers } = await startResource()
    await source.fetch(`${api.url}/other`, { headers })
    expect(bearers()).toEqual(['of-the-caller'])
  })
})

it('without a resource nobody knows where the token may go, and fetch says so', async () => {
  const { source, as } = await startTokenSource()
  await expect(source.fetch(as.url)).rejects.toThrow(/"resource"/)
  expect(as.requests).toEqual([])
})

it('a resource is refused that is neither https nor on loopback', async () => {
  for (const resource of ['http://api.test/mcp', 'https://user:pass@api.test', 'mcp']) {
    await expect(startTokenSource(undefined, { resource })).rejects.toMatchObject({
      name: 'OAuthError',
    })
  }
})
