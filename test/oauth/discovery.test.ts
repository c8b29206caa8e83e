import {
  discoverAuthorizationServer,
  discoverProtectedResource,
  type Fetch,
} from '@countersign/oauth'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource } from '../servers/hostile-resource.js'
import {
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from '../servers/scripted-server.js'
import { hang, redirect } from '../servers/token-responses.js'
import { closing, refusal, thrown } from './fixtures.ts'

describe('the metadata of an issuer with a path', () => {
  it('is found at the location of oidc-provider', async () => {
    const as = closing(await startAuthorizationServer({ path: '/tenant' }))
    expect(await discoverAuthorizationServer(as.issuer)).toMatchObject(as.metadata)
  })

  it.each([
    ['/.well-known/oauth-authorization-server/tenant', 1],
    ['/.well-known/openid-configuration/tenant', 2],
    ['/tenant/.well-known/openid-configuration', 3],
  ])('is found at %s, after %i requests', async (location, requests) => {
    const server: ScriptedServer = closing(
      await startScriptedServer(({ path }) =>
        path === location
          ? Response.json({ issuer: `${server.url}/tenant`, token_endpoint: server.url })
          : new Response(null, { status: 404 }),
      ),
    )
    const issuer = `${server.url}/tenant`
    expect(await discoverAuthorizationServer(issuer)).toMatchObject({ issuer })
    expect(server.requests).toHaveLength(requests)
  })
})

describe('discovery', () => {
  it('reads metadata of up to 1 MiB', async () => {
    let more = 0
    const server: ScriptedServer = closing(
      await startScriptedServer(() => {
        const body = { issuer: server.url, padding: '' }
        const free = 1024 * 1024 - Buffer.byteLength(JSON.stringify(body))
        return Response.json({ ...body, padding: 'x'.repeat(free + more) })
      }),
    )
    const { issuer } = await discoverAuthorizationServer(server.url)
    expect(issuer).toBe(server.url)
    more = 1
    const error = await refusal(() => discoverAuthorizationServer(server.url))
    expect(error.message).toMatch(/larger than 1 MiB/)
  })

  it('throws with the HTTP status when there is no metadata', async () => {
    const server = closing(await startScriptedServer(() => new Response(null, { status: 403 })))
    const error = await refusal(() => discoverAuthorizationServer(server.url))
    expect(error).toMatchObject({ code: 'ERR_OAUTH_DISCOVERY', status: 403 })
    expect(error.message).toContain('HTTP status 403')
  })

  it.each([
    ['', '/'],
    ['/', ''],
  ])('accepts the issuer with %j after its host as the one with %j', async (asked, stated) => {
    const as = closing(
      await startScriptedAuthorizationServer({ metadata: (url) => ({ issuer: url + stated }) }),
    )
    const found = await discoverAuthorizationServer(as.url + asked)
    expect(found.issuer).toBe(as.url + stated)
  })

  it.each([
    ['an additional slash', (url: string) => `${url}/tenant/`],
    ['another case', (url: string) => `${url}/TENANT`],
    ['an encoded letter', (url: string) => `${url}/%74enant`],
    ['dot segments', (url: string) => `${url}/x/../tenant`],
    ['an empty query', (url: string) => `${url}/tenant?`],
    ['a scheme in capitals', (url: string) => `${url.replace('http', 'HTTP')}/tenant`],
  ])('refuses the issuer with %s', async (_what, stated) => {
    const server: ScriptedServer = closing(
      await startScriptedServer(() => Response.json({ issuer: stated(server.url) })),
    )
    const discovering = () => discoverAuthorizationServer(`${server.url}/tenant`)
    expect((await refusal(discovering)).code).toBe('ERR_OAUTH_ISSUER_MISMATCH')
  })

  it('rejects with the reason of a signal that aborts', async () => {
    const server = closing(await startScriptedServer(() => () => {}))
    const controller = new AbortController()
    const reason = new Error('enough')
    const options = { signal: controller.signal }
    const caught = thrown(() => discoverAuthorizationServer(server.url, options))
    controller.abort(reason)
    expect(await caught).toBe(reason)
  })

  it('rejects with ERR_OAUTH_TIMEOUT after a timeout of the caller', async () => {
    const server = closing(await startScriptedServer(() => () => {}))
    const options = { signal: AbortSignal.timeout(50) }
    const error = await refusal(() => discoverAuthorizationServer(server.url, options))
    expect(error.code).toBe('ERR_OAUTH_TIMEOUT')
  })
})

/** A server with metadata at one location. */
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

describe('the metadata of a resource', () => {
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

  it('is found at the URL from a challenge', async () => {
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
  ])('for %s is refused when it is that of %s', async (used, of) => {
    const server: ScriptedServer = closing(
      await startScriptedServer(() => Response.json({ resource: new URL(of, server.url).href })),
    )
    const error = await refusal(() => discoverProtectedResource(server.url + used))
    expect(error.code).toBe('ERR_OAUTH_RESOURCE_MISMATCH')
  })

  const malformed: [string, Script][] = [
    ['a web page', () => new Response('<html>')],
    ['null', () => new Response('null')],
    ['a list', () => new Response('[]')],
    ['an object whose resource is not a URL', () => Response.json({ resource: '/mcp' })],
    [
      'an object whose resource is not a string',
      () => Response.json({ resource: ['https://a.test'] }),
    ],
    [
      'an object whose authorization servers are not a list',
      ({ headers: { host } }) =>
        Response.json({ resource: `http://${host}`, authorization_servers: 'https://as.test' }),
    ],
    [
      'an object whose authorization servers are not strings',
      ({ headers: { host } }) =>
        Response.json({ resource: `http://${host}`, authorization_servers: [{ length: 1 }] }),
    ],
    [
      'an object whose scopes are not a list',
      ({ headers: { host } }) =>
        Response.json({ resource: `http://${host}`, scopes_supported: 'read' }),
    ],
    [
      'a body of 2 MB',
      ({ headers: { host } }) =>
        Response.json({ resource: `http://${host}`, padding: 'x'.repeat(2_000_000) }),
    ],
  ]

  it.each(malformed)('is refused when it is %s', async (_what, answer) => {
    const server = closing(await startScriptedServer(answer))
    const error = await refusal(() => discoverProtectedResource(`${server.url}/mcp`))
    expect(error.code).toBe('ERR_OAUTH_DISCOVERY')
  })

  it.each([
    [404, 'ERR_OAUTH_DISCOVERY'],
    [401, 'ERR_OAUTH_DISCOVERY'],
    [429, 'ERR_OAUTH_UNAVAILABLE'],
    [503, 'ERR_OAUTH_UNAVAILABLE'],
  ])('with status %i is %s', async (status, code) => {
    const server = closing(await startScriptedServer(() => new Response(null, { status })))
    const error = await refusal(() => discoverProtectedResource(`${server.url}/mcp`))
    expect(error.code).toBe(code)
  })

  it.each([
    { path: 429, origin: 404, shown: 429 },
    { path: 503, origin: 404, shown: 503 },
    { path: 404, origin: 503, shown: 503 },
  ])('is unavailable with status $path for its path and $origin for its origin', async (status) => {
    const server = closing(
      await startScriptedServer(({ path }) => {
        return new Response(null, { status: path === wellKnown ? status.origin : status.path })
      }),
    )
    const error = await refusal(() => discoverProtectedResource(`${server.url}/mcp`))
    expect(error).toMatchObject({ code: 'ERR_OAUTH_UNAVAILABLE', status: status.shown })
    expect(error.message).toContain(`HTTP status ${status.shown}`)
  })

  it('is not fetched from the target of a redirect', async () => {
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

  it('rejects with the reason of a signal that aborts', async () => {
    const server = closing(await startScriptedServer(() => hang))
    const controller = new AbortController()
    const { signal } = controller
    const caught = thrown(() => discoverProtectedResource(server.url, { signal }))
    controller.abort('enough')
    expect(await caught).toBe('enough')
  })
})

const discoveries = [
  ['an authorization server', discoverAuthorizationServer],
  ['a resource', discoverProtectedResource],
] as const

const ignoringSignals: Fetch = () => new Promise(() => {})

/** Makes timeouts a thousand times shorter, and returns their lengths before that, in milliseconds. */
function shortenTimeouts(): number[] {
  const limits: number[] = []
  const { timeout } = AbortSignal
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => {
    limits.push(milliseconds)
    return timeout.call(AbortSignal, Math.ceil(milliseconds / 1000))
  })
  onTestFinished(() => spy.mockRestore())
  return limits
}

describe.each(discoveries)('the metadata of %s that never arrives', (_what, discover) => {
  it('causes a timeout after 30 seconds without a signal', async () => {
    const server = closing(await startScriptedServer(() => hang))
    const limits = shortenTimeouts()
    const error = await refusal(() => discover(server.url))
    expect(error).toMatchObject({ code: 'ERR_OAUTH_TIMEOUT', retryable: true })
    expect((await refusal(() => discover(server.url, { fetch: ignoringSignals }))).code).toBe(
      error.code,
    )
    expect(limits).toEqual([30_000, 30_000])
  })

  it('is no longer waited for when the signal aborts, even if the fetch ignores it', async () => {
    const limits = shortenTimeouts()
    const controller = new AbortController()
    const { signal } = controller
    const caught = thrown(() => discover('https://api.test', { fetch: ignoringSignals, signal }))
    controller.abort('enough')
    expect(await caught).toBe('enough')
    expect(limits).toEqual([])
  })
})
