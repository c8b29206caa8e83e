import { describe, expect, it } from 'vitest'
import {
  type ScriptedRequest,
  type ScriptedServer,
  startScriptedServer,
} from '../servers/scripted-server.js'
import { redirect } from '../servers/token-responses.js'
import { closing } from './fixtures.ts'
import { bearerOf, type ResourceFixture, startResource } from './servers.ts'

const statuses = [301, 302, 303, 307, 308]

/** A resource that redirects requests from `/mcp/from` to the URL that `to` returns. */
async function startRedirecting(
  to: (fixture: { api: string; other: string }) => string,
  status = 307,
): Promise<ResourceFixture & { other: ScriptedServer; from: string }> {
  const other = closing(await startScriptedServer(() => new Response('elsewhere')))
  const fixture: ResourceFixture = await startResource({
    answer: ({ path }) =>
      path === '/mcp/from'
        ? redirect(to({ api: fixture.api.url, other: other.url }), status)
        : new Response('here'),
  })
  return { ...fixture, other, from: `${fixture.resource}/from` }
}

function compared({ method, body, headers }: ScriptedRequest) {
  const { 'content-type': type, 'x-mine': mine, cookie } = headers
  return { method, body, type: type?.replace(/boundary=.*/, ''), mine, cookie }
}

const requests: [string, () => RequestInit][] = [
  ['a GET', () => ({})],
  ['a HEAD', () => ({ method: 'HEAD' })],
  ['a POST without a body', () => ({ method: 'POST' })],
  ['a POST of a string', () => ({ method: 'POST', body: 'text' })],
  ['a post of a form', () => ({ method: 'post', body: new URLSearchParams({ a: 'b' }) })],
  ['a PUT of a string', () => ({ method: 'PUT', body: 'text' })],
  ['a DELETE', () => ({ method: 'DELETE' })],
]

describe.each(statuses)('a redirect with status %i', (status) => {
  it.each(requests)(
    'to another origin is followed with %s, without the token',
    async (_what, init) => {
      const { source, other, from } = await startRedirecting(({ other }) => `${other}/to`, status)
      const headers = { 'x-mine': 'yes', cookie: 'a=b' }
      const response = await source.fetch(from, { headers, ...init() })
      expect([response.status, response.url]).toEqual([200, `${other.url}/to`])
      await fetch(from, { headers, ...init() })
      const [ours, platforms] = other.requests
      expect(ours?.headers).not.toHaveProperty('authorization')
      expect(ours && compared(ours)).toEqual(platforms && compared(platforms))
    },
  )

  it.each(requests)(
    'within the resource is followed with %s, with the token',
    async (_what, init) => {
      const { source, api, from, bearers } = await startRedirecting(() => '/mcp/to', status)
      await source.fetch(from, { headers: { 'x-mine': 'yes' }, ...init() })
      expect(bearers()).toEqual(['token-1', 'token-1'])
      await fetch(from, { headers: { 'x-mine': 'yes' }, ...init() })
      const [, ours, , platforms] = api.requests
      expect(ours && compared(ours)).toEqual(platforms && compared(platforms))
    },
  )

  it('to another path of the origin is followed without the token', async () => {
    const { source, from, bearers } = await startRedirecting(() => '/mcpx/../public', status)
    expect(await (await source.fetch(from)).text()).toBe('here')
    expect(bearers()).toEqual(['token-1', undefined])
  })
})

describe('a redirect', () => {
  it('that leaves the origin and returns is followed without the token', async () => {
    const other = closing(
      await startScriptedServer(() => redirect(`${fixture.resource}/delete-everything`)),
    )
    const fixture: ResourceFixture = await startResource({
      answer: ({ path }) => (path === '/mcp' ? redirect(other.url) : new Response('here')),
    })
    expect(await (await fixture.source.fetch(fixture.resource)).text()).toBe('here')
    expect(fixture.bearers()).toEqual(['token-1', undefined])
  })

  it('that leaves the origin, returns and continues there is followed without the token to its end', async () => {
    const other = closing(await startScriptedServer(() => redirect(`${fixture.resource}/back`)))
    const fixture: ResourceFixture = await startResource({
      answer: ({ path }) => {
        if (path === '/mcp') return redirect(other.url)
        if (path === '/mcp/back') return redirect('/mcp/further')
        return path === '/mcp/further' ? redirect('/mcp/end') : new Response('here')
      },
    })
    expect(await (await fixture.source.fetch(fixture.resource)).text()).toBe('here')
    expect(fixture.api.requests.map(({ path }) => path)).toEqual([
      '/mcp',
      '/mcp/back',
      '/mcp/further',
      '/mcp/end',
    ])
    expect(fixture.bearers()).toEqual(['token-1', undefined, undefined, undefined])
  })

  it.each([200, 201, 300, 304])('is not followed for status %i with a location', async (status) => {
    const { source, api, from } = await startRedirecting(() => '/mcp/to', status)
    expect((await source.fetch(from)).status).toBe(status)
    expect(api.requests).toHaveLength(1)
  })

  it.each([301, 302, 303, 307, 308])(
    'is not followed for status %i without a location',
    async (status) => {
      const { source, api, resource } = await startResource({
        answer: () => new Response(null, { status }),
      })
      expect((await source.fetch(resource)).status).toBe(status)
      expect(api.requests).toHaveLength(1)
    },
  )

  it('to another origin drops the headers with credentials, and within the origin keeps them', async () => {
    const credentials = { cookie: 'a=b', 'proxy-authorization': 'Basic cHJveHk6c2VjcmV0' }
    const headers = { ...credentials, authorization: 'Basic b3du', 'x-mine': 'yes' }
    const leaving = await startRedirecting(({ other }) => other)
    await leaving.source.fetch(leaving.from, { headers })
    const [left] = leaving.other.requests
    expect(left?.headers).toMatchObject({ 'x-mine': 'yes' })
    for (const name of ['cookie', 'proxy-authorization', 'authorization']) {
      expect(left?.headers).not.toHaveProperty(name)
    }
    expect(left?.headers.host).toBe(new URL(leaving.other.url).host)
    const staying = await startRedirecting(() => '/mcp/to')
    await staying.source.fetch(staying.from, { headers })
    expect(staying.api.requests[1]?.headers).toMatchObject(credentials)
  })

  it.each([301, 302, 303])(
    'with status %i that turns a POST into a GET drops the headers of the body',
    async (status) => {
      const ofBody = {
        'content-type': 'text/plain',
        'content-language': 'en',
        'content-location': '/draft',
        'content-encoding': 'identity',
      }
      const { source, api, from } = await startRedirecting(() => '/mcp/to', status)
      await source.fetch(from, {
        method: 'POST',
        body: 'text',
        headers: { ...ofBody, 'x-mine': 'yes' },
      })
      const [posted, got] = api.requests
      expect(posted?.headers).toMatchObject(ofBody)
      expect(got).toMatchObject({ method: 'GET', body: '', headers: { 'x-mine': 'yes' } })
      for (const name of [...Object.keys(ofBody), 'content-length']) {
        expect(got?.headers).not.toHaveProperty(name)
      }
    },
  )

  it("to another origin drops the caller's own credentials", async () => {
    const { source, other, api } = await startRedirecting(({ other }) => other)
    await source.fetch(`${api.url}/mcp/from`, { headers: { authorization: 'Basic b3du' } })
    expect(other.requests[0]?.headers).not.toHaveProperty('authorization')
  })

  it('is not followed with a body that cannot be sent again; the caller gets the redirect', async () => {
    const { source, other, from, api } = await startRedirecting(({ other }) => other)
    const body = new Blob(['streamed']).stream()
    const response = await source.fetch(from, { method: 'POST', body, duplex: 'half' })
    expect(response.status).toBe(307)
    expect(api.requests.map((one) => one.body)).toEqual(['streamed'])
    expect(other.requests).toEqual([])
  })

  it('that drops the body is followed for any body', async () => {
    const { source, api, from } = await startRedirecting(() => '/mcp/to', 303)
    const body = new Blob(['streamed']).stream()
    const response = await source.fetch(from, { method: 'POST', body, duplex: 'half' })
    expect(await response.text()).toBe('here')
    expect(api.requests.map((one) => [one.method, one.body])).toEqual([
      ['POST', 'streamed'],
      ['GET', ''],
    ])
  })

  it.each([
    'data:text/plain,mine',
    'file:///etc/passwd',
    'blob:nodedata:1',
    'http://[',
    'http://a:b@127.0.0.1/',
    'http://a@127.0.0.1/',
    'http://:b@127.0.0.1/',
  ])('to %s is not followed; the caller gets the redirect', async (location) => {
    const { source, from } = await startRedirecting(() => location, 302)
    expect((await source.fetch(from)).status).toBe(302)
  })

  it('is followed at most 20 times', async () => {
    const { source, api, from } = await startRedirecting(() => '/mcp/from', 302)
    expect((await source.fetch(from)).status).toBe(302)
    expect(api.requests).toHaveLength(21)
  })

  it.each(['manual', 'error'] as const)('is not followed in the mode %s', async (mode) => {
    const { source, other, from } = await startRedirecting(({ other }) => other)
    const asked = source.fetch(from, { redirect: mode })
    if (mode === 'manual') expect((await asked).status).toBe(307)
    else await expect(asked).rejects.toThrow(TypeError)
    const request = source.fetch(new Request(from, { redirect: mode }))
    if (mode === 'manual') expect((await request).status).toBe(307)
    else await expect(request).rejects.toThrow(TypeError)
    expect(other.requests).toEqual([])
  })

  it('to another origin that answers with a challenge causes no renewal', async () => {
    const other = closing(await startScriptedServer(() => new Response(null, { status: 401 })))
    const { source, resource, tokenRequests } = await startResource({
      answer: () => redirect(other.url),
    })
    expect((await source.fetch(resource)).status).toBe(401)
    expect(tokenRequests()).toHaveLength(1)
  })

  it('to a URL that answers with a challenge is repeated from that URL', async () => {
    const { source, resource, api, bearers } = await startResource({
      answer: ({ path, headers }) => {
        if (path === '/mcp') return redirect('/mcp/result', 303)
        return new Response(null, { status: bearerOf(headers) === 'token-1' ? 401 : 200 })
      },
    })
    const response = await source.fetch(resource, { method: 'POST', body: 'pay' })
    expect(response.status).toBe(200)
    expect(api.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /mcp',
      'GET /mcp/result',
      'GET /mcp/result',
    ])
    expect(bearers()).toEqual(['token-1', 'token-1', 'token-2'])
  })
})
