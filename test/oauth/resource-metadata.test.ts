import { discoverProtectedResource } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedResource } from '../servers/hostile-resource.js'
import {
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from '../servers/scripted-server.js'
import { hang, redirect } from '../servers/token-responses.js'
import { closing, refusal, thrown } from './fixtures.ts'

/** A server with metadata at this one location. */
async function startAt(
  location: string,
  answer: (url: string) => unknown,
): Promise<ScriptedServer> {
  const server: ScriptedServer = closing(
    await startScriptedServer(({ path }) =>
      path === location ? Response.json(answer(server.url)) : new Response(null, { status: 404 }),
    ),
  )
  return server
}

const wellKnown = '/.well-known/oauth-protected-resource'

describe("a resource's metadata", () => {
  it.each([
    ['/mcp', `${wellKnown}/mcp`, '/mcp', 1],
    ['/mcp?session=1#part', `${wellKnown}/mcp`, '/mcp', 1],
    ['/mcp', wellKnown, '', 2],
    ['/mcp/tools', `${wellKnown}/mcp/tools`, '/mcp', 1],
    ['', wellKnown, '/', 1],
    ['//other.test/mcp', `${wellKnown}//other.test/mcp`, '//other.test/mcp', 1],
  ])('of %j is found at %s', async (used, location, resource, requests) => {
    const server = await startAt(location, (url) => ({ resource: url + resource }))
    const found = await discoverProtectedResource(server.url + used)
    expect(found.resource).toBe(server.url + resource)
    expect(server.requests).toHaveLength(requests)
  })

  it('is found where a challenge says that it is', async () => {
    const resource = closing(
      await startScriptedResource({ authorizationServers: ['https://as.test'] }),
    )
    const options = { metadataUrl: resource.resourceMetadataUrl }
    expect(await discoverProtectedResource(resource.url, options)).toEqual({
      resource: resource.url,
      authorization_servers: ['https://as.test'],
    })
    expect(resource.requests).toHaveLength(1)
  })

  it.each([
    ['/mcp', '/other'],
    ['/mcp', '/mcp/tools'],
    ['/mcpx', '/mcp'],
    ['/mcp/..%2fadmin', '/mcp'],
    ['/mcp', 'http://127.0.0.1:1/mcp'],
    ['/mcp', 'https://other.test/mcp'],
  ])('for %s is refused when it is of %s', async (used, of) => {
    const server: ScriptedServer = closing(
      await startScriptedServer(() => Response.json({ resource: new URL(of, server.url).href })),
    )
    const error = await refusal(() => discoverProtectedResource(server.url + used))
    expect(error.code).toBe('ERR_OAUTH_RESOURCE_MISMATCH')
  })

  const nonsense: [string, Script][] = [
    ['a web page', () => new Response('<html>')],
    ['nothing', () => new Response('null')],
    ['a list', () => new Response('[]')],
    ['a resource that is no URL', () => Response.json({ resource: '/mcp' })],
    ['a resource that is no text', () => Response.json({ resource: ['https://a.test'] })],
    [
      'a server that is no list',
      ({ headers: { host } }) =>
        Response.json({ resource: `http://${host}`, authorization_servers: 'https://as.test' }),
    ],
    [
      'servers that are no texts',
      ({ headers: { host } }) =>
        Response.json({ resource: `http://${host}`, authorization_servers: [{ length: 1 }] }),
    ],
    [
      'scopes that are no list',
      ({ headers: { host } }) =>
        Response.json({ resource: `http://${host}`, scopes_supported: 'read' }),
    ],
    [
      'a body without end',
      ({ headers: { host } }) =>
        Response.json({ resource: `http://${host}`, padding: 'x'.repeat(2_000_000) }),
    ],
  ]

  it.each(nonsense)('is not found in %s', async (_what, answer) => {
    const server = closing(await startScriptedServer(answer))
    const error = await refusal(() => discoverProtectedResource(`${server.url}/mcp`))
    expect(error.code).toBe('ERR_OAUTH_DISCOVERY')
  })

  it.each([
    [404, 'ERR_OAUTH_DISCOVERY'],
    [401, 'ERR_OAUTH_DISCOVERY'],
    [429, 'ERR_OAUTH_UNAVAILABLE'],
    [503, 'ERR_OAUTH_UNAVAILABLE'],
  ])('that is answered with status %i is %s', async (status, code) => {
    const server = closing(await startScriptedServer(() => new Response(null, { status })))
    const error = await refusal(() => discoverProtectedResource(`${server.url}/mcp`))
    expect(error.code).toBe(code)
  })

  it('is not fetched from where it redirects to', async () => {
    const elsewhere = closing(await startScriptedServer(() => new Response()))
    const server = closing(await startScriptedServer(() => redirect(elsewhere.url)))
    const error = await refusal(() => discoverProtectedResource(server.url))
    expect(error.code).toBe('ERR_OAUTH_DISCOVERY')
    expect(elsewhere.requests).toEqual([])
  })

  it.each([
    ['http://api.test/mcp', undefined],
    ['https://user:pass@api.test/mcp', undefined],
    ['https://api.test/mcp', 'http://api.test/metadata'],
    ['https://api.test/mcp', 'http://127.0.0.1:8080/metadata'],
    ['https://api.test/mcp', 'file:///etc/passwd'],
  ])('of %s at %s is not requested', async (url, metadataUrl) => {
    let requests = 0
    const fetch = async () => {
      requests += 1
      return new Response()
    }
    const error = await refusal(() => discoverProtectedResource(url, { metadataUrl, fetch }))
    expect(error.code).toBe('ERR_OAUTH_INSECURE_ENDPOINT')
    expect(requests).toBe(0)
  })

  it('is given up with the very reason of a signal that aborts', async () => {
    const server = closing(await startScriptedServer(() => hang))
    const controller = new AbortController()
    const { signal } = controller
    const caught = thrown(() => discoverProtectedResource(server.url, { signal }))
    controller.abort('enough')
    expect(await caught).toBe('enough')
  })
})
