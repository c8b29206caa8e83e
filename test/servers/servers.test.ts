import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  Client as ClientV2,
  PrivateKeyJwtProvider as ProviderV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { PrivateKeyJwtProvider as ProviderV1 } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { exportJWK, exportPKCS8, type GenerateKeyPairResult, generateKeyPair, SignJWT } from 'jose'
import * as oauth from 'oauth4webapi'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type AuthorizationServer,
  CLIENT_AUTH_SIGNING_ALGS,
  startAuthorizationServer,
} from './authorization-server.js'
import { startMcpServer } from './mcp-server.js'
import { startScriptedServer } from './scripted-server.js'

const RESOURCE = 'https://resource.test/mcp'
const insecure = { [oauth.allowInsecureRequests]: true }

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const closable of open.splice(0).reverse()) await closable.close()
})
function closing<T extends { close(): Promise<void> }>(closable: T): T {
  open.push(closable)
  return closable
}

interface Keys extends GenerateKeyPairResult {
  readonly alg: string
}

async function newKeys(alg: string): Promise<Keys> {
  return { alg, ...(await generateKeyPair(alg, { extractable: true })) }
}

/** An authorization server that knows the client `agent` by these keys. */
async function serverKnowing(keys: Keys, path = ''): Promise<AuthorizationServer> {
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), alg: keys.alg }] }
  return closing(
    await startAuthorizationServer({
      path,
      resources: { [RESOURCE]: ['read', 'write'] },
      clients: [{ client_id: 'agent', token_endpoint_auth_method: 'private_key_jwt', jwks }],
    }),
  )
}

function assertion(keys: Keys, aud: string, { expiresIn = 60 } = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: keys.alg, typ: 'client-authentication+jwt' })
    .setIssuer('agent')
    .setSubject('agent')
    .setAudience(aud)
    .setIssuedAt(Math.min(now, now + expiresIn))
    .setExpirationTime(now + expiresIn)
    .sign(keys.privateKey)
}

/** Asks for a token and tells how it went. */
async function request(as: AuthorizationServer, parameters: Record<string, string>) {
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...parameters })
  const response = await fetch(as.metadata.token_endpoint, { method: 'POST', body })
  await response.arrayBuffer()
  return { status: response.status, refusal: as.tokenRequests.at(-1)?.refusal }
}

function present(as: AuthorizationServer, client_assertion: string) {
  const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
  return request(as, { client_assertion, client_assertion_type, resource: RESOURCE })
}

describe('the authorization server', () => {
  it.each(['', '/tenant'])(
    'grants oauth4webapi a token, with an issuer at the path "%s"',
    async (path) => {
      const keys = await newKeys('ES256')
      const server = await serverKnowing(keys, path)
      const issuer = new URL(server.issuer)
      const options = { ...insecure, algorithm: 'oauth2' } as const
      const as = await oauth.processDiscoveryResponse(
        issuer,
        await oauth.discoveryRequest(issuer, options),
      )
      const client = { client_id: 'agent' }
      const response = await oauth.clientCredentialsGrantRequest(
        as,
        client,
        oauth.PrivateKeyJwt(keys.privateKey),
        { scope: 'read', resource: RESOURCE },
        insecure,
      )
      const token = await oauth.processClientCredentialsResponse(as, client, response)
      expect(token).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope: 'read' })
      expect(server.counters).toEqual({ discovery: 1, token: 1 })
      expect(server.tokenRequests[0]).toMatchObject({
        form: { resource: RESOURCE },
        assertion: { header: { alg: 'ES256' }, claims: { iss: 'agent', aud: server.issuer } },
        status: 200,
      })
    },
  )

  it.each(CLIENT_AUTH_SIGNING_ALGS)('accepts an assertion signed with %s', async (alg) => {
    const keys = await newKeys(alg)
    const server = await serverKnowing(keys)
    const accepted = { status: 200, refusal: undefined }
    expect(await present(server, await assertion(keys, server.issuer))).toEqual(accepted)
  })

  it('refuses a wrong key, a wrong audience, a replay and an expired assertion', async () => {
    const keys = await newKeys('ES256')
    const server = await serverKnowing(keys)
    const good = await assertion(keys, server.issuer)
    expect(await present(server, good)).toMatchObject({ status: 200 })
    const refusal = async (jwt: string) => {
      const { status, refusal } = await present(server, jwt)
      expect(status).toBe(401)
      return refusal
    }
    expect(await refusal(good)).toMatch(/only be used once/)
    expect(await refusal(await assertion(await newKeys('ES256'), server.issuer))).toMatch(
      /signature verification failed/,
    )
    expect(await refusal(await assertion(keys, `${server.issuer}/`))).toMatch(/audience/)
    const expired = await assertion(keys, server.issuer, { expiresIn: -1 })
    expect(await refusal(expired)).toMatch(/expired/)
  })

  it('reads the keys of a client from its jwks_uri', async () => {
    const keys = await newKeys('ES256')
    const server = await serverKnowing(await newKeys('ES256'))
    const published = { keys: [await exportJWK(keys.publicKey)] }
    const { url: jwks_uri } = closing(await startScriptedServer(() => Response.json(published)))
    const token_endpoint_auth_method = 'private_key_jwt'
    await server.registerClient({ client_id: 'agent', token_endpoint_auth_method, jwks_uri })
    expect(await present(server, await assertion(keys, server.issuer))).toMatchObject({
      status: 200,
    })
  })

  it('accepts the secret of a client in the header and in the body, and no other secret', async () => {
    const server = await serverKnowing(await newKeys('ES256'))
    const client = { client_id: 'app:1', client_secret: 's+c r%t' }
    const as = { issuer: server.issuer, token_endpoint: server.metadata.token_endpoint }
    for (const [method, authenticate] of [
      ['client_secret_basic', oauth.ClientSecretBasic],
      ['client_secret_post', oauth.ClientSecretPost],
    ] as const) {
      await server.registerClient({ ...client, token_endpoint_auth_method: method })
      const ask = (secret: string) =>
        oauth.clientCredentialsGrantRequest(as, client, authenticate(secret), {}, insecure)
      expect((await ask(client.client_secret)).status).toBe(200)
      expect((await ask('guessed')).status).toBe(401)
    }
  })

  it('refuses resources that are not registered', async () => {
    const keys = await newKeys('ES256')
    const server = closing(await startAuthorizationServer())
    const jwks = { keys: [await exportJWK(keys.publicKey)] }
    await server.registerClient({
      client_id: 'agent',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks,
    })
    const ask = async () => present(server, await assertion(keys, server.issuer))
    expect(await ask()).toEqual({ status: 400, refusal: 'no such resource' })
    server.registerResource(RESOURCE, ['read'])
    expect(await ask()).toMatchObject({ status: 200 })
  })
})

type Ask = (name: 'whoami' | 'add', args?: Record<string, unknown>) => Promise<unknown>
interface Login {
  readonly issuer: string
  readonly privateKey: string
  readonly scope: string
}

/** Each SDK major's own client with its own `PrivateKeyJwtProvider`. */
const CLIENTS = {
  async v1(url: string, { issuer, ...login }: Login): Promise<Ask> {
    const fixed = { clientId: 'agent', algorithm: 'ES256', expectedIssuer: issuer }
    const transport = new TransportV1(new URL(url), {
      authProvider: new ProviderV1({ ...fixed, ...login }),
    })
    const client = closing(new ClientV1({ name: 'test', version: '1.0.0' }))
    await client.connect(transport as Transport)
    return async (name, args = {}) => (await client.callTool({ name, arguments: args })).content
  },
  async v2(url: string, { issuer, ...login }: Login): Promise<Ask> {
    const fixed = { clientId: 'agent', algorithm: 'ES256', expectedIssuer: issuer }
    const transport = new TransportV2(new URL(url), {
      authProvider: new ProviderV2({ ...fixed, ...login }),
    })
    const client = closing(new ClientV2({ name: 'test', version: '1.0.0' }))
    await client.connect(transport)
    return async (name, args = {}) => (await client.callTool({ name, arguments: args })).content
  },
}

describe.each(['v1', 'v2'] as const)('the MCP server on SDK %s', (sdk) => {
  async function line(options: { ttlSeconds?: number; scope?: string } = {}) {
    const keys = await newKeys('ES256')
    const as = await serverKnowing(keys)
    as.setTokenLifetime(options.ttlSeconds ?? 3600)
    const mcp = closing(
      await startMcpServer({
        issuer: as.issuer,
        sdk,
        scopesSupported: ['use', 'math'],
        requiredScopes: ['use'],
        toolScopes: { add: 'math' },
      }),
    )
    as.registerResource(mcp.url, ['use', 'math'])
    const privateKey = await exportPKCS8(keys.privateKey)
    return { as, mcp, login: { issuer: as.issuer, privateKey, scope: options.scope ?? 'use' } }
  }

  it.each(['v1', 'v2'] as const)('handles 100 calls of SDK %s at once', async (client) => {
    const { as, mcp, login } = await line({ scope: 'use math' })
    const ask = await CLIENTS[client](mcp.url, login)
    expect(await ask('whoami')).toEqual([{ type: 'text', text: 'agent' }])
    await Promise.all(Array.from({ length: 100 }, () => ask('whoami')))
    expect(mcp.counters).toEqual({ discovery: 1, unauthorized: 1, forbidden: 0, toolCalls: 101 })
    expect(as.counters.token).toBe(1)
    expect(await ask('add', { a: 1, b: 2 })).toEqual([{ type: 'text', text: '3' }])
  })

  it('answers 401 to a revoked token, and to an expired one', async () => {
    const { as, mcp, login } = await line({ ttlSeconds: 1 })
    const ask = await CLIENTS.v2(mcp.url, login)
    as.setTokenLifetime(3600)
    const expired = mcp.requests.at(-1)?.bearer ?? ''
    await new Promise((resolve) => setTimeout(resolve, 1100))
    await ask('whoami')
    mcp.revokeAll()
    await ask('whoami')
    const revoked = mcp.requests.filter(({ status }) => status === 401).map(({ bearer }) => bearer)
    expect(revoked[1]).toBe(expired)
    expect(new Set(revoked).size).toBe(3)
    expect(as.counters.token).toBe(3)
  })

  it('answers 403 and names the scopes a tool needs', async () => {
    const { mcp, login } = await line()
    const ask = await CLIENTS.v2(mcp.url, login)
    await ask('whoami')
    const authorization = `Bearer ${mcp.requests.at(-1)?.bearer}`
    const response = await fetch(mcp.url, {
      method: 'POST',
      headers: {
        authorization,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'add', arguments: { a: 1, b: 2 } },
      }),
    })
    expect(response.status).toBe(403)
    const challenge = response.headers.get('www-authenticate')
    expect(challenge).toMatch(/error="insufficient_scope"/)
    expect(challenge).toMatch(/scope="(use math|math use)"/)
    expect(challenge).toContain(`resource_metadata="${mcp.resourceMetadataUrl}"`)
  })

  it('refuses a token meant for another resource', async () => {
    const { as, mcp, login } = await line()
    const other = closing(await startMcpServer({ issuer: as.issuer, sdk }))
    as.registerResource(other.url, ['use'])
    await CLIENTS.v2(other.url, login)
    const authorization = `Bearer ${other.requests.at(-1)?.bearer}`
    expect((await fetch(other.url, { method: 'POST', headers: { authorization } })).status).toBe(
      sdk === 'v1' ? 406 : 415,
    )
    expect((await fetch(mcp.url, { method: 'POST', headers: { authorization } })).status).toBe(401)
  })
})

it('prints nothing, and leaves nothing that keeps a process alive', async () => {
  const script = `
    const { startAuthorizationServer } = await import('./authorization-server.js')
    const { startMcpServer } = await import('./mcp-server.js')
    const as = await startAuthorizationServer()
    for (const sdk of ['v1', 'v2']) {
      const mcp = await startMcpServer({ issuer: as.issuer, sdk })
      await fetch(mcp.url, { method: 'POST' })
      await mcp.close()
    }
    await as.close()`
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', script],
    { cwd: fileURLToPath(new URL('.', import.meta.url)), timeout: 20_000 },
  )
  expect(stdout + stderr).toBe('')
})
