import * as oauth from 'oauth4webapi'
import { afterEach, describe, expect, it } from 'vitest'
import {
  PLAIN_HTTP_TOKEN_ENDPOINT,
  startAcceptingOnly,
  startIssuerMixUp,
  startIssuerThief,
  startPlainHttpTokenEndpoint,
  startScriptedAuthorizationServer,
  startSilentAboutAuthentication,
  startWithoutMetadata,
  startWithoutPrivateKeyJwt,
} from './hostile-authorization-server.js'
import { insufficientScope, startScriptedResource } from './hostile-resource.js'
import { type Script, type ScriptedServer, startScriptedServer } from './scripted-server.js'
import * as responses from './token-responses.js'

const insecure = { [oauth.allowInsecureRequests]: true }

const open: ScriptedServer[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})
function closing<T extends ScriptedServer>(server: T): T {
  open.push(server)
  return server
}

async function metadataOf({ url }: ScriptedServer): Promise<oauth.AuthorizationServer> {
  const response = await fetch(`${url}/.well-known/oauth-authorization-server`)
  return (await response.json()) as oauth.AuthorizationServer
}

async function discover({ url }: ScriptedServer): Promise<oauth.AuthorizationServer> {
  const options = { ...insecure, algorithm: 'oauth2' } as const
  const response = await oauth.discoveryRequest(new URL(url), options)
  return oauth.processDiscoveryResponse(new URL(url), response)
}

async function tokenFrom(script: Script): Promise<Response> {
  const { url } = closing(await startScriptedAuthorizationServer({ token: script }))
  return fetch(`${url}/token`, { method: 'POST', signal: AbortSignal.timeout(300) })
}

describe('authorization servers with false metadata', () => {
  it('have correct metadata by default', async () => {
    const server = closing(await startScriptedAuthorizationServer())
    expect(await discover(server)).toMatchObject({ token_endpoint: `${server.url}/token` })
  })

  it.each([
    ['the issuer of another', () => startIssuerThief('https://honest.test')],
    ['another issuer of the same host', startIssuerMixUp],
  ])('claim %s, which issuer validation detects', async (_lie, start) => {
    await expect(discover(closing(await start()))).rejects.toMatchObject({
      code: 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
    })
  })

  it('send assertions over plain http, limit the methods and algorithms, or say nothing', async () => {
    const limited = await metadataOf(closing(await startWithoutPrivateKeyJwt()))
    expect(limited.token_endpoint_auth_methods_supported).toEqual(['client_secret_basic'])
    const rsaOnly = await metadataOf(closing(await startAcceptingOnly(['RS256'])))
    expect(rsaOnly.token_endpoint_auth_signing_alg_values_supported).toEqual(['RS256'])
    const silent = await metadataOf(closing(await startSilentAboutAuthentication()))
    expect(silent).not.toHaveProperty('token_endpoint_auth_methods_supported')
    expect(silent).not.toHaveProperty('token_endpoint_auth_signing_alg_values_supported')
    const plain = await metadataOf(closing(await startPlainHttpTokenEndpoint()))
    expect(plain.token_endpoint).toBe(PLAIN_HTTP_TOKEN_ENDPOINT)
    const mute = closing(await startWithoutMetadata())
    expect((await fetch(`${mute.url}/.well-known/oauth-authorization-server`)).status).toBe(404)
  })
})

describe('token endpoints that misbehave', () => {
  it('cut the connection, never respond, or send something else', async () => {
    await expect((await tokenFrom(() => responses.cutConnection)).json()).rejects.toThrow()
    await expect((await tokenFrom(() => responses.truncatedJson())).json()).rejects.toThrow()
    await expect(tokenFrom(() => responses.hang)).rejects.toMatchObject({ name: 'TimeoutError' })
    expect((await tokenFrom(() => responses.htmlBadGateway())).status).toBe(502)
    const later = await tokenFrom(() => responses.tooManyRequests('7'))
    expect([later.status, later.headers.get('retry-after')]).toEqual([429, '7'])
    const huge = await (await tokenFrom(() => responses.enormousBody(1_000_000))).arrayBuffer()
    expect(huge.byteLength).toBeGreaterThan(1_000_000)
  })

  it('grant tokens with any member missing or wrong', async () => {
    const odd = { access_token: undefined, token_type: 'N_A', expires_in: '60' }
    const response = await tokenFrom(() => responses.tokenResponse(odd))
    expect(await response.json()).toEqual({ token_type: 'N_A', expires_in: '60' })
  })

  it('send their responses in turn, and the last one again and again', async () => {
    const token = responses.inTurn(
      () => responses.jsonServerError(),
      () => responses.errorResponse('invalid_client', { status: 401 }),
      () => responses.tokenResponse(),
    )
    const { url } = closing(await startScriptedAuthorizationServer({ token }))
    const statuses: number[] = []
    for (let turn = 0; turn < 4; turn += 1) {
      statuses.push((await fetch(`${url}/token`, { method: 'POST' })).status)
    }
    expect(statuses).toEqual([500, 401, 200, 200])
  })
})

describe('resources with false metadata', () => {
  it('claim to be another resource, and point to any authorization server', async () => {
    const claims = { resource: 'https://other.test/mcp', authorizationServers: ['https://as.test'] }
    const server = closing(await startScriptedResource(claims))
    const challenge = (await fetch(server.url, { method: 'POST' })).headers.get('www-authenticate')
    expect(challenge).toContain(`resource_metadata="${server.resourceMetadataUrl}"`)
    expect(await (await fetch(server.resourceMetadataUrl)).json()).toEqual({
      resource: 'https://other.test/mcp',
      authorization_servers: ['https://as.test'],
    })
  })

  it('ask for more scope, and send clients elsewhere', async () => {
    const elsewhere = closing(await startScriptedServer(() => new Response('yours')))
    const server = closing(
      await startScriptedResource({
        authorizationServers: [],
        answer: ({ method }, self) =>
          method === 'GET'
            ? responses.redirect(elsewhere.url, 302)
            : insufficientScope(self, 'admin'),
      }),
    )
    const refused = await fetch(server.url, { method: 'POST' })
    expect(refused.status).toBe(403)
    expect(refused.headers.get('www-authenticate')).toContain('scope="admin"')
    const headers = { 'x-token': 'secret' }
    expect(await (await fetch(server.url, { headers })).text()).toBe('yours')
    expect(elsewhere.requests[0]?.headers['x-token']).toBe('secret')
  })
})

it('a scripted server records every credential that it gets', async () => {
  const server = closing(await startScriptedServer(() => new Response()))
  const body = new URLSearchParams({ client_assertion: 'a.b.c', client_secret: 's3cret' })
  await fetch(server.url, { method: 'POST', body, headers: { authorization: 'Bearer t' } })
  await fetch(server.url, { method: 'POST', body: '{}' })
  expect(server.credentials).toEqual(['a.b.c', 's3cret', 'Bearer t'])
  expect(server.requests).toHaveLength(2)
})
