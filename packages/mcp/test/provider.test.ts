import type { ClientCredentialsProvider } from '@countersign/mcp'
import { describe, expect, it } from 'vitest'
import { authentication, mcp, post, startServers } from './servers.ts'

const serverUrl = mcp
const as = 'https://as.example'

/** The metadata that an SDK passes back to the provider. */
async function discovered(provider: ClientCredentialsProvider) {
  return (await provider.discoveryState()).authorizationServerMetadata
}

describe('a provider without its fetch', () => {
  it('has a token for the server of its option "serverUrl", which callers obtain together', async () => {
    const { provider, received, issuers } = startServers({}, { serverUrl, scope: 'read' })
    const tokens = await Promise.all(Array.from({ length: 10 }, () => provider.tokens()))
    for (const token of tokens) {
      expect(token).toEqual({
        access_token: 'token-1',
        token_type: 'bearer',
        expires_in: expect.any(Number),
        scope: 'read',
      })
    }
    expect(issuers).toEqual([as])
    const pings = received.filter(({ url }) => url.href === mcp)
    expect(pings).toHaveLength(2)
    for (const { init, headers } of pings) {
      expect(init.method).toBe('POST')
      expect(JSON.parse(String(init.body))).toEqual({ jsonrpc: '2.0', id: 1, method: 'ping' })
      expect(headers.get('content-type')).toBe('application/json')
      expect(headers.get('accept')).toBe('application/json, text/event-stream')
    }
  })

  it('has no token without that option', async () => {
    const { provider, received } = startServers()
    expect(await provider.tokens()).toBeUndefined()
    expect(await provider.authProvider.token()).toBeUndefined()
    expect(received).toEqual([])
  })

  it('obtains a token when SDK v2 says that the server refused', async () => {
    const { provider, issuers } = startServers()
    await provider.authProvider.onUnauthorized({ serverUrl: new URL(mcp) })
    expect(await provider.authProvider.token()).toBe('token-1')
    await provider.authProvider.onUnauthorized({ serverUrl: new URL(mcp) })
    expect(issuers).toEqual([as])
  })

  it('releases the response to its own request', async () => {
    let cancelled = 0
    const { provider } = startServers({
      resource: () => new Response(new ReadableStream({ cancel: () => void cancelled++ })),
    })
    await provider.authProvider.onUnauthorized({ serverUrl: new URL(mcp) })
    expect(cancelled).toBe(1)
  })

  it('says that the server accepted no token in time', async () => {
    const { provider } = startServers(
      {},
      { serverUrl, timeoutSeconds: 0.05, fetch: () => new Promise(() => {}) },
    )
    await expect(provider.tokens()).rejects.toMatchObject({
      code: 'ERR_OAUTH_TIMEOUT',
      message: 'The MCP server https://mcp.example accepted no token within 0.05 s',
    })
  })
})

describe('the discovery for an SDK', () => {
  it('says that the MCP server cannot be reached, or that it took too long', async () => {
    const cause = new TypeError('fetch failed')
    const down = startServers(
      {},
      { serverUrl: `${mcp}?key=secret`, fetch: () => Promise.reject(cause) },
    )
    await expect(down.provider.discoveryState()).rejects.toMatchObject({
      code: 'ERR_OAUTH_UNAVAILABLE',
      message: 'The MCP server https://mcp.example/mcp cannot be reached',
      cause,
    })
    const slow = startServers(
      {},
      { serverUrl, timeoutSeconds: 0.05, fetch: () => new Promise(() => {}) },
    )
    await expect(slow.provider.discoveryState()).rejects.toMatchObject({
      code: 'ERR_OAUTH_TIMEOUT',
      message:
        'The authorization server of https://mcp.example/mcp was not discovered within 0.05 s',
    })
  })

  it('names the authorization server and the resource', async () => {
    const { provider } = startServers({}, { serverUrl })
    expect(await provider.discoveryState()).toEqual({
      authorizationServerUrl: as,
      authorizationServerMetadata: expect.objectContaining({ issuer: as }),
      resourceMetadata: { resource: mcp, authorization_servers: [as] },
    })
  })
})

describe('what an SDK asks a provider to forget', () => {
  it.each([
    ['all', { discoveries: 1, tokens: 2 }],
    ['discovery', { discoveries: 1, tokens: 2 }],
    ['tokens', { discoveries: 0, tokens: 2 }],
    ['client', { discoveries: 0, tokens: 1 }],
    ['verifier', { discoveries: 0, tokens: 1 }],
  ] as const)('%s', async (scope, expected) => {
    const { provider, received, issuers } = startServers()
    await provider.fetch(mcp, post())
    received.length = 0
    await provider.invalidateCredentials(scope)
    await provider.fetch(mcp, post())
    const discoveries = received.filter(({ url }) =>
      /oauth-authorization-server/.test(url.pathname),
    )
    expect({ discoveries: discoveries.length, tokens: issuers.length }).toEqual(expected)
  })

  it('can be forgotten before there is anything', async () => {
    const { provider } = startServers()
    for (const scope of ['all', 'tokens', 'client'] as const) {
      await provider.invalidateCredentials(scope)
    }
  })
})

describe('the token requests of a provider', () => {
  it('are at most 200 at once, and one more in 6 seconds', async () => {
    const { provider, advance } = startServers({}, { serverUrl })
    const metadata = await discovered(provider)
    const authenticate = () =>
      provider.addClientAuthentication(
        new Headers(),
        new URLSearchParams(),
        `${as}/token`,
        metadata,
      )
    const refused = {
      code: 'ERR_OAUTH_TOKEN_REFUSED',
      message:
        'The MCP server has refused so many tokens that only one more is requested every 6 s; nothing was signed',
    }
    for (let request = 0; request < 200; request++) await authenticate()
    await expect(authenticate()).rejects.toMatchObject(refused)
    advance(5.9)
    await expect(authenticate()).rejects.toMatchObject(refused)
    advance(0.1)
    await authenticate()
    await expect(authenticate()).rejects.toMatchObject(refused)
  })

  it('name no scope that nobody asked for', async () => {
    const { provider } = startServers()
    expect([...provider.prepareTokenRequest()]).toEqual([['grant_type', 'client_credentials']])
    expect([...provider.prepareTokenRequest('read')]).toEqual([
      ['grant_type', 'client_credentials'],
      ['scope', 'read'],
    ])
    expect(provider.clientMetadata.token_endpoint_auth_method).toBe(authentication.method)
  })
})
