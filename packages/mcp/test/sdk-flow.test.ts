import { generateKeyPairSync } from 'node:crypto'
import type { Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import {
  type ClientCredentialsProvider,
  type ClientCredentialsProviderOptions,
  clientCredentialsProvider,
} from '@countersign/mcp'
import { type ClientAuthentication, type Fetch, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'

const mcp = 'https://mcp.example/mcp'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer: Signer = await localSigner({ key: privateKey })
const authentication = privateKeyJwt(signer)

/** An MCP server that names another authorization server, or itself another resource, whenever a test says so. */
function startServers(settings: Partial<ClientCredentialsProviderOptions> = {}) {
  const metadata = { issuer: 'https://as.example', resource: mcp, scopes: ['use'] }
  const requests: string[] = []
  const fetch: Fetch = async (input) => {
    const url = new URL(input instanceof Request ? input.url : input)
    requests.push(url.href)
    if (url.href === mcp) return new Response(null, { status: 401 })
    if (url.pathname.startsWith('/.well-known/oauth-protected-resource')) {
      const { resource, issuer, scopes } = metadata
      const authorization_servers = [issuer]
      return Response.json({ resource, authorization_servers, scopes_supported: scopes })
    }
    return Response.json({
      issuer: url.origin,
      token_endpoint: `${url.origin}/token`,
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
    })
  }
  const options = { clientId: 'agent', authentication, serverUrl: mcp, fetch, ...settings }
  return { metadata, requests, provider: clientCredentialsProvider(options) }
}

type State = Awaited<ReturnType<ClientCredentialsProvider['discoveryState']>>

/** The calls of a flow after its discovery, in the order in which both SDKs make them, without a `this`. */
async function finish(
  { ...unbound }: ClientCredentialsProvider,
  { authorizationServerUrl: issuer, authorizationServerMetadata }: State,
  scope?: string,
): Promise<URLSearchParams> {
  await unbound.clientInformation()
  const params = await unbound.prepareTokenRequest(scope)
  const endpoint = new URL(`${issuer}/token`)
  await unbound.addClientAuthentication(
    new Headers(),
    params,
    endpoint,
    authorizationServerMetadata,
  )
  await unbound.saveTokens({ access_token: `of ${issuer}`, token_type: 'bearer' })
  return params
}

function audience(params: URLSearchParams): unknown {
  const [, claims = ''] = (params.get('client_assertion') ?? '').split('.')
  return JSON.parse(Buffer.from(claims, 'base64url').toString()).aud
}

describe('the flow of an SDK', () => {
  it('requests a token for its own resource, with an assertion for its own server, among 100 at once', async () => {
    const { metadata, provider } = startServers()
    const states: State[] = []
    for (let number = 0; number < 100; number++) {
      metadata.issuer = `https://as-${number}.example`
      metadata.resource = number % 2 === 0 ? mcp : 'https://mcp.example'
      states.push(await provider.discoveryState())
    }
    const requested = await Promise.all(states.map((state) => finish(provider, state)))
    for (const [number, params] of requested.entries()) {
      expect(audience(params)).toBe(`https://as-${number}.example`)
      expect(params.get('resource')).toBe(number % 2 === 0 ? mcp : 'https://mcp.example')
    }
    expect(new Set(requested.map((params) => params.get('client_assertion'))).size).toBe(100)
  })

  it('is not affected by a flow beside it that is refused', async () => {
    const { metadata, provider } = startServers()
    const honest = await provider.discoveryState()
    metadata.resource = 'https://victim.example/mcp'
    await expect(provider.discoveryState()).rejects.toMatchObject({
      code: 'ERR_OAUTH_RESOURCE_MISMATCH',
    })
    expect((await finish(provider, honest)).get('resource')).toBe(mcp)
  })

  it('shares the discovery with flows that start at the same time, and discovers again later', async () => {
    const { metadata, requests, provider } = startServers()
    await Promise.all(Array.from({ length: 10 }, () => provider.discoveryState()))
    expect(requests).toHaveLength(3)
    metadata.issuer = 'https://other.example'
    const { authorizationServerUrl } = await provider.discoveryState()
    expect(authorizationServerUrl).toBe('https://other.example')
  })

  it('gets no assertion for a token endpoint that is not in the metadata', async () => {
    const { provider } = startServers()
    const { authorizationServerMetadata } = await provider.discoveryState()
    const endpoint = 'https://other.example/token'
    const params = new URLSearchParams()
    await expect(
      provider.addClientAuthentication(
        new Headers(),
        params,
        endpoint,
        authorizationServerMetadata,
      ),
    ).rejects.toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
    expect([...params]).toEqual([])
  })

  it.each([
    ['no metadata', undefined],
    [
      'metadata that the SDK discovered itself',
      {
        issuer: 'https://as.example',
        authorization_endpoint: 'https://as.example/authorize',
        token_endpoint: 'https://as.example/token',
        response_types_supported: ['code'],
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
      },
    ],
  ])('gets no assertion with %s', async (_what, metadata) => {
    const { provider } = startServers()
    await provider.discoveryState()
    const params = new URLSearchParams()
    await expect(
      provider.addClientAuthentication(new Headers(), params, 'https://as.example/token', metadata),
    ).rejects.toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
    expect([...params]).toEqual([])
  })

  it('requests the scope of the SDK’s challenge within "maxScope", in addition to its own', async () => {
    const { provider } = startServers({ scope: 'read', maxScope: 'use math' })
    const params = await finish(provider, await provider.discoveryState(), 'math delete')
    expect(params.get('scope')).toBe('read math')
  })

  it('requests at most 100 scope values that servers ask for', async () => {
    const { metadata, provider } = startServers()
    const values = (prefix: string) => Array.from({ length: 100 }, (_, value) => prefix + value)
    metadata.scopes = values('a')
    const state = await provider.discoveryState()
    const params = await finish(provider, state, values('b').join(' '))
    expect(params.get('scope')?.split(' ')).toHaveLength(100)
  })

  it('needs the URL of the MCP server, and the error says which option has it', async () => {
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
    await expect(provider.discoveryState()).rejects.toThrow(/option "serverUrl"/)
  })
})

describe('a provider', () => {
  it('asks no authentication for a server that does not list the method, even if it is not one of ours', async () => {
    let calls = 0
    const count = async () => {
      calls++
    }
    const custom = Object.assign(count, { method: 'client_secret_post' }) as ClientAuthentication
    const { provider } = startServers({ authentication: custom })
    const refused = { code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED' }
    const state = await provider.discoveryState()
    await expect(finish(provider, state)).rejects.toMatchObject(refused)
    await expect(provider.fetch(mcp, { method: 'POST' })).rejects.toMatchObject(refused)
    expect(calls).toBe(0)
  })

  it('does not use tokens that nobody requested', async () => {
    const { saveTokens, tokens } = clientCredentialsProvider({ clientId: 'agent', authentication })
    saveTokens({ access_token: 'unexpected', token_type: 'bearer' })
    expect(await tokens()).toBeUndefined()
  })

  it('sends no user to sign in, because its client acts for itself', () => {
    const { redirectUrl, redirectToAuthorization, codeVerifier } = startServers().provider
    expect(redirectUrl).toBeUndefined()
    expect(redirectToAuthorization).toThrow(TypeError)
    expect(codeVerifier).toThrow(TypeError)
  })
})
