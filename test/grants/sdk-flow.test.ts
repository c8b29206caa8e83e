// An SDK's own authorization flow, in which the SDK sends the token request itself.
import { enterpriseManagedProvider, workloadIdentityProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { authorize, majors, type ProviderOfBoth } from '../mcp/clients.ts'
import { closing, refusal } from '../oauth/fixtures.ts'
import { numberedTokens } from '../oauth/servers.ts'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startMcpServer } from '../servers/mcp-server.js'
import { startEnterprise, user } from './servers.ts'

test.for(majors)('SDK %s requests a token for a user of an enterprise', async (major) => {
  const { as, idp, client, signers, idToken } = await startEnterprise()
  const mcp = closing(await startMcpServer({ issuer: as.issuer, scopesSupported: ['use'] }))
  as.registerResource(mcp.url, ['use'])
  const provider = enterpriseManagedProvider({
    ...{ clientId: 'agent-at-as', authentication: privateKeyJwt(signers.as) },
    ...{ idp: client, subjectToken: idToken, serverUrl: mcp.url },
  })
  await authorize(major, provider as ProviderOfBoth, { serverUrl: mcp.url, fetchFn: fetch })
  const target = { resource: mcp.url, scope: 'use' }
  expect(idp.tokenRequests.map(({ form }) => form)).toMatchObject([
    { ...target, audience: as.issuer },
  ])
  expect(as.tokenRequests.map(({ form }) => form)).toMatchObject([target])
  const { access_token } = (await provider.tokens()) ?? {}
  expect(decodeJwt(access_token ?? '')).toMatchObject({ sub: user, aud: mcp.url })
  expect([idp.counters.token, as.counters.token]).toEqual([1, 1])
})

/** A provider of a workload, and its authorization server. */
async function startWorkload(token: () => string | Promise<string>, methods = ['none']) {
  const as = closing(
    await startScriptedAuthorizationServer({
      metadata: { token_endpoint_auth_methods_supported: methods, jwks_uri: undefined },
      token: numberedTokens(),
      other: () => new Response(null, { status: 401 }),
    }),
  )
  // A server without metadata is its own authorization server.
  const serverUrl = `${as.url}/mcp`
  const client = { clientId: 'pod', issuer: as.url, timeoutSeconds: 0.3 }
  const provider = workloadIdentityProvider({ ...client, token, serverUrl })
  /** What the SDK calls before it sends the token request. */
  async function authenticate() {
    const { authorizationServerMetadata: metadata } = await provider.discoveryState()
    const body = provider.prepareTokenRequest()
    await provider.addClientAuthentication(new Headers(), body, `${as.url}/token`, metadata)
    return Object.fromEntries(body)
  }
  return { as, provider, authenticate, serverUrl }
}

test('the grant of the provider replaces that of client credentials', async () => {
  const { authenticate, serverUrl } = await startWorkload(() => 'a.b.c')
  expect(await authenticate()).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    ...{ assertion: 'a.b.c', client_id: 'pod', resource: serverUrl },
  })
})

test('the platform is not asked for a token for a server that demands client authentication', async () => {
  let calls = 0
  const token = () => {
    calls += 1
    return 'a.b.c'
  }
  const { authenticate } = await startWorkload(token, ['private_key_jwt'])
  const { code } = await refusal(authenticate)
  expect({ code, calls }).toEqual({ code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED', calls: 0 })
})

test('a platform that does not answer is waited for until the deadline', async () => {
  const { authenticate } = await startWorkload(() => new Promise(() => {}))
  expect((await refusal(authenticate)).code).toBe('ERR_OAUTH_TIMEOUT')
})

test('an MCP server that refuses each token causes at most 200 requests to the platform', async () => {
  let calls = 0
  const token = () => {
    calls += 1
    return 'a.b.c'
  }
  const { provider, as } = await startWorkload(token)
  const { authorizationServerMetadata: metadata } = await provider.discoveryState()
  const authenticate = () => {
    const body = provider.prepareTokenRequest()
    return provider.addClientAuthentication(new Headers(), body, `${as.url}/token`, metadata)
  }
  for (let turn = 0; turn < 200; turn += 1) await authenticate()
  expect((await refusal(authenticate)).code).toBe('ERR_OAUTH_TOKEN_REFUSED')
  expect(calls).toBe(200)
})
