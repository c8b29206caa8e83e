import type { Fetch } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { mcp, post, startServers } from './servers.ts'

const tokenEndpoint = 'https://as.example/token'

describe('the fetch of a provider', () => {
  it('repeats a request that was refused without a token, and attaches the token from then on', async () => {
    const { provider, authorizationsAt, issuers } = startServers()
    expect(await (await provider.fetch(mcp, post())).text()).toBe('done')
    expect(await (await provider.fetch(mcp, post())).text()).toBe('done')
    expect(authorizationsAt(mcp)).toEqual([null, 'Bearer token-1', 'Bearer token-1'])
    expect(issuers).toHaveLength(1)
  })

  it('sends a Request, with its body, and repeats it', async () => {
    const bodies: unknown[] = []
    const { provider, authorizationsAt } = startServers({
      resource({ init }) {
        bodies.push(init.body)
        return new Response('done')
      },
    })
    const request = new Request(mcp, { method: 'POST', body: 'hello' })
    expect(await (await provider.fetch(request)).text()).toBe('done')
    expect(authorizationsAt(mcp)).toEqual([null, 'Bearer token-1'])
    expect(await new Response(bodies[0] as ReadableStream).text()).toBe('hello')
  })

  it('returns the 401 for a body that cannot be sent again, and has a token for the next request', async () => {
    const { provider, authorizationsAt } = startServers()
    const body = new Blob(['once']).stream()
    const response = await provider.fetch(mcp, { ...post(body), duplex: 'half' } as RequestInit)
    expect([response.status, await response.text()]).toEqual([401, 'no'])
    expect(authorizationsAt(mcp)).toEqual([null])
    expect((await provider.fetch(mcp, post())).status).toBe(200)
    expect(authorizationsAt(mcp)).toEqual([null, 'Bearer token-1'])
  })

  it('sends no token to a URL outside the resource', async () => {
    const { provider, authorizationsAt } = startServers()
    await provider.fetch(mcp, post())
    const others = ['https://mcp.example/other', 'https://other.example/mcp']
    for (const url of others) {
      await provider.fetch(url, post())
      expect(authorizationsAt(url)).toEqual([null])
    }
  })

  it.each([
    ['Bearer old', null],
    ['bearer old', null],
    ['Basic old', 'Basic old'],
    ['Custom bearer old', 'Custom bearer old'],
    ['Bearerold', 'Bearerold'],
  ])('takes the header "Authorization: %s" of an SDK for %j', async (header, sent) => {
    for (const use of ['init', 'request'] as const) {
      const { provider, received } = startServers()
      await provider.fetch(mcp, post())
      const url = 'https://other.example/'
      const headers = { authorization: header, 'mcp-session-id': '7' }
      await (use === 'init'
        ? provider.fetch(url, { headers })
        : provider.fetch(new Request(url, { headers })))
      const last = received.at(-1)?.headers
      expect([last?.get('authorization'), last?.get('mcp-session-id')]).toEqual([sent, '7'])
    }
  })

  it('passes a 403 on, unless it asks for more scope', async () => {
    const { provider, issuers } = startServers({
      resource: () => new Response('not yours', { status: 403 }),
    })
    const response = await provider.fetch(mcp, post())
    expect([response.status, await response.text()]).toEqual([403, 'not yours'])
    expect(issuers).toHaveLength(1)
  })

  it('throws when the new token has too little scope as well, with the scope in the message', async () => {
    const challenge = 'Bearer error="insufficient_scope", scope="admin"'
    let cancelled = 0
    const { provider } = startServers({
      resource() {
        const body = new ReadableStream({
          cancel() {
            cancelled++
          },
        })
        return new Response(body, { status: 403, headers: { 'www-authenticate': challenge } })
      },
    })
    await expect(provider.fetch(mcp, post())).rejects.toMatchObject({
      code: 'ERR_OAUTH_TOKEN_REFUSED',
      status: 403,
      message: expect.stringMatching(/HTTP status 403 .* asks for the scope admin;/),
    })
    // The first response, and that to the token with more scope.
    expect(cancelled).toBe(2)
  })

  it('throws when the resource refuses a token that was just issued', async () => {
    const { provider, issuers } = startServers({
      resource: () => new Response('no', { status: 401 }),
    })
    await expect(provider.fetch(mcp, post())).rejects.toMatchObject({
      code: 'ERR_OAUTH_TOKEN_REFUSED',
      status: 401,
      message:
        'The resource https://mcp.example/mcp answers with HTTP status 401 to the token that https://as.example issued for it; no other token was requested',
    })
    expect(issuers).toHaveLength(2)
  })

  it('rejects with the reason of the signal, of the options or of the Request', async () => {
    const reason = new Error('the caller left')
    const signal = AbortSignal.abort(reason)
    for (const use of ['init', 'request'] as const) {
      const { provider } = startServers()
      await provider.fetch(mcp, post())
      await expect(
        use === 'init'
          ? provider.fetch(mcp, { ...post(), signal })
          : provider.fetch(new Request(mcp, { ...post(), signal })),
      ).rejects.toBe(reason)
    }
  })

  it('lets a caller leave a discovery, by the signal of the options or of the Request', async () => {
    for (const use of ['init', 'request'] as const) {
      const reason = new Error('the caller left')
      const controller = new AbortController()
      const { signal } = controller
      const fetch: Fetch = async (input) => {
        const url = input instanceof Request ? input.url : String(input)
        if (url === mcp) return new Response('no', { status: 401 })
        controller.abort(reason)
        return new Promise(() => {})
      }
      const { provider } = startServers({}, { fetch })
      await expect(
        use === 'init'
          ? provider.fetch(mcp, { ...post(), signal })
          : provider.fetch(new Request(mcp, { ...post(), signal })),
      ).rejects.toBe(reason)
    }
  })

  it('lets a caller leave a renewal, even of a token that has expired', async () => {
    const { provider, answers, advance } = startServers()
    await provider.fetch(mcp, post())
    advance(301)
    const reason = new Error('the caller left')
    const controller = new AbortController()
    answers.refusals.set('https://as.example', () => {
      controller.abort(reason)
      return new Promise(() => {})
    })
    const { signal } = controller
    await expect(provider.fetch(mcp, { ...post(), signal })).rejects.toBe(reason)
  })
})

describe("requests of an SDK's own flow", () => {
  const tokenRequest = post(new URLSearchParams({ grant_type: 'client_credentials' }))

  it('go to the token endpoint and the metadata as they are, without a token and without redirects', async () => {
    const { provider, received, authorizationsAt } = startServers()
    await provider.fetch(mcp, post())
    received.length = 0
    const metadata = 'https://mcp.example/.well-known/oauth-protected-resource/mcp'
    for (const [url, init] of [
      [tokenEndpoint, tokenRequest],
      [metadata, {}],
    ] as const) {
      expect((await provider.fetch(url, init)).status).toBe(200)
      expect(authorizationsAt(url)).toEqual([null])
    }
    expect(received.map(({ init }) => init.redirect)).toEqual(['manual', 'manual'])
  })

  it('read at most 1 MiB of a response', async () => {
    const large: Fetch = async () => new Response('x'.repeat(1024 * 1024 + 1))
    const { provider } = startServers({}, { fetch: large, serverUrl: mcp })
    for (const [url, init] of [
      [tokenEndpoint, tokenRequest],
      ['https://as.example/.well-known/oauth-authorization-server', {}],
    ] as const) {
      await expect(provider.fetch(url, init)).rejects.toMatchObject({
        code: 'ERR_OAUTH_INVALID_RESPONSE',
        message: expect.stringContaining('https://as.example'),
      })
    }
  })

  it('of another form are requests to the MCP server', async () => {
    const { provider, authorizationsAt } = startServers()
    await provider.fetch(mcp, post())
    await provider.fetch(mcp, post(new URLSearchParams({ query: 'grant_type' })))
    expect(authorizationsAt(mcp).at(-1)).toBe('Bearer token-1')
  })

  it('do not lead from another machine to this one', async () => {
    const { provider, received } = startServers({}, { serverUrl: mcp })
    for (const url of ['http://127.0.0.1:1/', 'http://localhost:1/.well-known/x']) {
      await expect(provider.fetch(url)).rejects.toMatchObject({
        code: 'ERR_OAUTH_INSECURE_ENDPOINT',
        message: expect.stringMatching(/^https:\/\/mcp\.example names as its address http:/),
      })
    }
    expect(received).toEqual([])
  })
})
