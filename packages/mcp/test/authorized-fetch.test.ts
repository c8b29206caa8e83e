import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import { type ClientCredentialsProviderOptions, clientCredentialsProvider } from '@countersign/mcp'
import { type Fetch, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'

const mcp = 'https://mcp.example/mcp'
const tokenEndpoint = 'https://as.example/token'
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const authentication = privateKeyJwt(await localSigner({ key: privateKey }))

interface Received {
  readonly url: URL
  readonly headers: Headers
  readonly init: RequestInit
}

/** How the MCP server answers a request that has one of its tokens. */
type Answer = (received: Received) => Response

/** An MCP server, and the authorization server that it names, which issues the tokens `token-1`, `token-2`, … */
function startServers(
  answer: Answer = () => new Response('done'),
  settings: Partial<ClientCredentialsProviderOptions> = {},
) {
  const received: Received[] = []
  let issued = 0
  const fetch: Fetch = async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const given = init.headers ?? (input instanceof Request ? input.headers : undefined)
    const headers = new Headers(given)
    received.push({ url, headers, init })
    if (url.pathname.startsWith('/.well-known/oauth-protected-resource')) {
      return Response.json({ resource: mcp, authorization_servers: ['https://as.example'] })
    }
    if (url.pathname.startsWith('/.well-known/')) {
      return Response.json({
        issuer: 'https://as.example',
        token_endpoint: tokenEndpoint,
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
      })
    }
    if (url.href === tokenEndpoint) {
      issued++
      return Response.json({
        access_token: `token-${issued}`,
        token_type: 'bearer',
        expires_in: 300,
      })
    }
    if (url.origin !== 'https://mcp.example') return new Response('elsewhere')
    const isAuthorized = headers.get('authorization')?.startsWith('Bearer token-') === true
    return isAuthorized ? answer({ url, headers, init }) : new Response('no', { status: 401 })
  }
  const provider = clientCredentialsProvider({
    clientId: 'agent',
    authentication,
    fetch,
    ...settings,
  })
  /** The `Authorization` headers of the requests to a URL. */
  const authorizationsAt = (url: string) =>
    received
      .filter((request) => request.url.href === url)
      .map(({ headers }) => headers.get('authorization'))
  return { provider, received, authorizationsAt, issued: () => issued }
}

const post = (body: RequestInit['body'] = '{}'): RequestInit => ({ method: 'POST', body })

describe('the fetch of a provider', () => {
  it('repeats a request that was refused without a token, and attaches the token from then on', async () => {
    const { provider, authorizationsAt, issued } = startServers()
    expect(await (await provider.fetch(mcp, post())).text()).toBe('done')
    expect(await (await provider.fetch(mcp, post())).text()).toBe('done')
    expect(authorizationsAt(mcp)).toEqual([null, 'Bearer token-1', 'Bearer token-1'])
    expect(issued()).toBe(1)
  })

  it('sends a Request, with its body, and repeats it', async () => {
    const bodies: unknown[] = []
    const { provider, authorizationsAt } = startServers(({ init }) => {
      bodies.push(init.body)
      return new Response('done')
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
    const { provider, issued } = startServers(() => new Response('not yours', { status: 403 }))
    const response = await provider.fetch(mcp, post())
    expect([response.status, await response.text()]).toEqual([403, 'not yours'])
    expect(issued()).toBe(1)
  })

  it('throws when the new token has too little scope as well, with the scope in the message', async () => {
    const challenge = 'Bearer error="insufficient_scope", scope="admin"'
    let cancelled = 0
    const { provider } = startServers(() => {
      const body = new ReadableStream({
        cancel() {
          cancelled++
        },
      })
      return new Response(body, { status: 403, headers: { 'www-authenticate': challenge } })
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
    const { provider, issued } = startServers(() => new Response('no', { status: 401 }))
    await expect(provider.fetch(mcp, post())).rejects.toMatchObject({
      code: 'ERR_OAUTH_TOKEN_REFUSED',
      status: 401,
      message: expect.not.stringContaining('scope'),
    })
    expect(issued()).toBe(2)
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
    const { provider } = startServers(undefined, { fetch: large, serverUrl: mcp })
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
    const { provider, received } = startServers(undefined, { serverUrl: mcp })
    for (const url of ['http://127.0.0.1:1/', 'http://localhost:1/.well-known/x']) {
      await expect(provider.fetch(url)).rejects.toMatchObject({
        code: 'ERR_OAUTH_INSECURE_ENDPOINT',
        message: expect.stringMatching(/^https:\/\/mcp\.example names as its address http:/),
      })
    }
    expect(received).toEqual([])
  })
})
