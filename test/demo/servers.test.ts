import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { jwks, type Signer } from '@countersign/core'
import { startAuthorizationServer, startMcpServer, startServers } from '@countersign/demo'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import {
  clientSecretBasic,
  type DpopSession,
  dpopSession,
  privateKeyJwt,
  tokenSource,
} from '@countersign/oauth'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { beforeAll, describe, expect, it } from 'vitest'

let signer: Signer
beforeAll(async () => {
  signer = await localSigner({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey })
})

const withKey = () => ({
  client_id: 'agent',
  token_endpoint_auth_method: 'private_key_jwt' as const,
  jwks: jwks(signer),
})

describe('startServers', () => {
  it.each([
    ['v1', ClientV1, TransportV1],
    ['v2', ClientV2, TransportV2],
  ] as const)('serves an MCP client of SDK %s', async (_major, Client, Transport) => {
    await using servers = await startServers(withKey())
    const { fetch } = clientCredentialsProvider({
      clientId: 'agent',
      issuer: servers.issuer,
      authentication: privateKeyJwt(signer),
    })
    const client = new Client({ name: 'test', version: '1' })
    await client.connect(new Transport(new URL(servers.mcpUrl), { fetch }) as never)
    const { content } = await client.callTool({ name: 'whoami', arguments: {} })
    expect(content).toEqual([{ type: 'text', text: 'agent' }])
    await client.close()
  })

  it('serves a client with DPoP, and refuses its token without a proof', async () => {
    await using servers = await startServers(withKey(), { dpop: true })
    const { issuer, mcpUrl } = servers
    const session = dpopSession()
    const source = tokenSource({
      ...{ issuer, clientId: 'agent', authentication: privateKeyJwt(signer) },
      ...{ scope: servers.scope, resource: mcpUrl, dpop: { session } },
    })
    const client = new ClientV2({ name: 'test', version: '1' })
    await client.connect(new TransportV2(new URL(mcpUrl), { fetch: source.fetch }))
    expect(await client.callTool({ name: 'whoami' })).toMatchObject({
      content: [{ type: 'text', text: 'agent' }],
    })
    await client.close()

    const accessToken = await source.token()
    const proof = (by: DpopSession, htm = 'POST') =>
      by.buildProof({ htm, htu: mcpUrl, accessToken })
    const answer = async (authorization: string, dpop: string) => {
      const response = await fetch(mcpUrl, { method: 'POST', headers: { authorization, dpop } })
      return [
        response.status,
        /"(invalid_\w+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1],
      ]
    }
    const used = await proof(session)
    expect((await answer(`DPoP ${accessToken}`, used))[0]).not.toBe(401)
    expect(await answer(`DPoP ${accessToken}`, used)).toEqual([401, 'invalid_dpop_proof'])
    expect(await answer(`DPoP ${accessToken}`, await proof(session, 'GET'))).toEqual([
      401,
      'invalid_dpop_proof',
    ])
    expect(await answer(`DPoP ${accessToken}`, await proof(dpopSession()))).toEqual([
      401,
      'invalid_token',
    ])
    expect(await answer(`Bearer ${accessToken}`, await proof(session))).toEqual([401, undefined])
  })

  it('frees both ports at the end', async () => {
    const { issuer, mcpUrl, close } = await startServers(withKey())
    await close()
    for (const url of [issuer, mcpUrl]) await expect(fetch(url)).rejects.toThrow('fetch failed')
  })
})

describe('startAuthorizationServer', () => {
  it('authenticates clients by secret, and by keys that a loopback URL publishes', async () => {
    const published = createServer((_request, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(jwks(signer)))
    }).listen(0, '127.0.0.1')
    await once(published, 'listening')
    const { port } = published.address() as AddressInfo
    await using server = await startAuthorizationServer({
      clients: [
        {
          client_id: 'by-secret',
          token_endpoint_auth_method: 'client_secret_basic',
          client_secret: 'tell nobody',
        },
        {
          client_id: 'by-key',
          token_endpoint_auth_method: 'private_key_jwt',
          jwks_uri: `http://127.0.0.1:${port}/jwks.json`,
        },
      ],
      tokenLifetimeSeconds: 90,
    })
    server.registerResource('https://api.example', 'read write')
    const options = { issuer: server.issuer, resource: 'https://api.example', scope: 'read' }
    const bySecret = tokenSource({
      ...options,
      clientId: 'by-secret',
      authentication: clientSecretBasic('tell nobody'),
    })
    const byKey = tokenSource({
      ...options,
      clientId: 'by-key',
      authentication: privateKeyJwt(signer),
    })
    for (const source of [bySecret, byKey]) {
      const { scope, expires_in = 0 } = await source.tokenResponse()
      expect(scope).toBe('read')
      expect(expires_in).toBeGreaterThan(80)
      expect(expires_in).toBeLessThanOrEqual(90)
    }
    published.close()
  })

  it('issues no token for a resource that was not registered', async () => {
    await using server = await startAuthorizationServer({ clients: [withKey()] })
    const source = tokenSource({
      issuer: server.issuer,
      clientId: 'agent',
      resource: 'https://other.example',
      authentication: privateKeyJwt(signer),
    })
    await expect(source.token()).rejects.toMatchObject({ error: 'invalid_target' })
  })
})

describe('startMcpServer', () => {
  it('refuses a request without a token, and one with a token for another resource', async () => {
    await using servers = await startServers(withKey())
    await using other = await startMcpServer({ issuer: servers.issuer })
    const source = tokenSource({
      issuer: servers.issuer,
      clientId: 'agent',
      resource: servers.mcpUrl,
      scope: servers.scope,
      authentication: privateKeyJwt(signer),
    })
    const without = await fetch(other.url, { method: 'POST' })
    expect(without.status).toBe(401)
    expect(without.headers.get('www-authenticate')).toContain('resource_metadata="')
    const authorization = `Bearer ${await source.token()}`
    const statusAt = async (url: string) =>
      (await fetch(url, { method: 'POST', headers: { authorization } })).status
    expect(await statusAt(other.url)).toBe(401)
    expect(await statusAt(servers.mcpUrl)).not.toBe(401)
  })
})
