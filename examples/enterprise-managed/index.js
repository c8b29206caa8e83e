// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { jwks } from '@countersign/core'
import { startMcpServer } from '@countersign/demo'
import { localSigner } from '@countersign/local'
import { enterpriseManagedProvider } from '@countersign/mcp'
import { OAuthError, privateKeyJwt } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { startAuthorizationServer, startIdentityProvider } from './servers.js'

// The client has one key here. It may have another one at each server, and any of them may be in a KMS.
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer = await localSigner({ key })
const keys = jwks(signer)

const idp = await startIdentityProvider(keys)
const authorizationServer = await startAuthorizationServer(keys, idp)
const mcpServer = await startMcpServer({ issuer: authorizationServer.issuer })

const provider = enterpriseManagedProvider({
  clientId: 'agent-at-as',
  authentication: privateKeyJwt(signer),
  idp: {
    issuer: idp.issuer,
    clientId: 'agent-at-idp',
    authentication: privateKeyJwt(signer),
  },
  // In an application, the ID token of the user's session.
  subjectToken: () => idp.idToken('alice@example.org'),
})
const connect = async () => {
  const client = new Client({ name: 'enterprise-managed', version: '1.0.0' })
  await client.connect(
    new StreamableHTTPClientTransport(new URL(mcpServer.url), { fetch: provider.fetch }),
  )
  return client
}
try {
  // The administrator of the enterprise has not permitted it yet.
  await assert.rejects(connect(), (error) => {
    return OAuthError.is(error) && error.error === 'access_denied'
  })

  idp.permit('agent-at-idp', authorizationServer.issuer)
  const client = await connect()
  const { content } = await client.callTool({ name: 'whoami' })
  assert.deepEqual(content, [{ type: 'text', text: 'agent-at-as' }])
  await client.close()
  assert.deepEqual(authorizationServer.users, ['alice@example.org'])
  console.log(`agent-at-as called ${mcpServer.url} for ${authorizationServer.users}`)
} finally {
  await mcpServer.close()
  await authorizationServer.close()
  await idp.close()
}
