import { enterpriseManagedProvider, workloadIdentityProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { connect, type ProviderOfBoth, type Way, ways } from '../mcp/clients.ts'
import { closing } from '../oauth/fixtures.ts'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { startMcpServer } from '../servers/mcp-server.js'
import { acceptAssertions, JWT_BEARER } from '../servers/token-grants.js'
import { issuerKey, startEnterprise } from './servers.ts'

const connectionOf = (
  { way }: Way,
  provider: ReturnType<typeof workloadIdentityProvider>,
): Parameters<typeof connect>[2] => {
  if (way === 'fetch') return { fetch: provider.fetch }
  if (way === 'AuthProvider') return { authProvider: provider.authProvider }
  return { authProvider: provider as ProviderOfBoth }
}

test.for(ways)('enterpriseManagedProvider: SDK $major calls a tool by $way', async (way) => {
  const { as, idp, client, signers, idToken } = await startEnterprise()
  const mcp = closing(await startMcpServer({ issuer: as.issuer }))
  as.registerResource(mcp.url, ['use'])
  const provider = enterpriseManagedProvider({
    ...{ clientId: 'agent-at-as', authentication: privateKeyJwt(signers.as) },
    ...{ idp: client, subjectToken: idToken },
    ...(way.way === 'OAuthClientProvider' && { serverUrl: mcp.url }),
  })
  const mcpClient = closing(await connect(way.major, mcp.url, connectionOf(way, provider)))
  expect(await mcpClient.call('whoami')).toBe('agent-at-as')
  expect(await mcpClient.call('add', { a: 1, b: 2 })).toBe('3')
  expect([idp.counters.token, as.counters.token]).toEqual([1, 1])
  expect(idp.tokenRequests[0]?.form).toMatchObject({ audience: as.issuer, resource: mcp.url })
})

test.for(['v1', 'v2'] as const)('enterpriseManagedProvider with DPoP, SDK %s', async (major) => {
  const { as, client, signers, idToken } = await startEnterprise(undefined, 'nonce')
  const mcp = closing(await startMcpServer({ issuer: as.issuer, dpop: true }))
  as.registerResource(mcp.url, ['use'])
  const provider = enterpriseManagedProvider({
    ...{ clientId: 'agent-at-as', authentication: privateKeyJwt(signers.as), dpop: true },
    ...{ idp: client, subjectToken: idToken },
  })
  const mcpClient = closing(await connect(major, mcp.url, { fetch: provider.fetch }))
  expect(await mcpClient.call('whoami')).toBe('agent-at-as')
})

test.for(ways)('workloadIdentityProvider: SDK $major calls a tool by $way', async (way) => {
  const platform = await issuerKey()
  const issuer = 'https://platform.test'
  const as = closing(
    await startAuthorizationServer({
      clientAuthMethods: ['none'],
      clients: [
        {
          ...{ client_id: 'pod', token_endpoint_auth_method: 'none' },
          grant_types: [JWT_BEARER],
        },
      ],
      grants: acceptAssertions({ issuer, keys: platform.keys }),
    }),
  )
  const mcp = closing(await startMcpServer({ issuer: as.issuer }))
  as.registerResource(mcp.url, ['use'])
  let issued = 0
  const provider = workloadIdentityProvider({
    clientId: 'pod',
    token({ issuer: audience }) {
      issued += 1
      return new SignJWT({ iss: issuer, sub: 'pod', aud: audience, jti: `${issued}` })
        .setProtectedHeader({ alg: 'ES256' })
        .setExpirationTime('5m')
        .sign(platform.privateKey)
    },
    ...(way.way === 'OAuthClientProvider' && { serverUrl: mcp.url }),
  })
  const mcpClient = closing(await connect(way.major, mcp.url, connectionOf(way, provider)))
  expect(await mcpClient.call('whoami')).toBe('pod')
  mcp.revokeAll()
  expect(await mcpClient.call('whoami')).toBe('pod')
  expect([issued, as.counters.token]).toEqual([2, 2])
})
