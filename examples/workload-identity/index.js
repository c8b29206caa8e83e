// @ts-check
import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMcpServer } from '@countersign/demo'
import { workloadIdentityProvider } from '@countersign/mcp'
import { OAuthError } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { startAuthorizationServer, startPlatform } from './servers.js'

const folder = await mkdtemp(join(tmpdir(), 'workload-identity-'))
const file = join(folder, 'token')
const platform = await startPlatform()
const authorizationServer = await startAuthorizationServer(platform)
const { issuer } = authorizationServer
const mcpServer = await startMcpServer({ issuer })

/** Replaces the token as Kubernetes does: readers see the old one or the new one. @param {string} audience */
async function project(audience) {
  await writeFile(`${file}.new`, await platform.token(audience))
  await rename(`${file}.new`, file)
}

const connect = async () => {
  const provider = workloadIdentityProvider({ clientId: 'billing-workload', file })
  const client = new Client({ name: 'workload-identity', version: '1.0.0' })
  await client.connect(
    new StreamableHTTPClientTransport(new URL(mcpServer.url), { fetch: provider.fetch }),
  )
  return client
}

try {
  // Each connection is a new token request, for which the file is read again.
  for (const turn of [1, 2]) {
    await project(issuer)
    const client = await connect()
    const { content } = await client.callTool({ name: 'whoami' })
    assert.deepEqual(content, [{ type: 'text', text: 'billing-workload' }])
    await client.close()
    assert.equal(authorizationServer.granted.size, turn)
  }

  // A token for another server stays here, because the MCP server has named the authorization server.
  await project('https://vault.example.com')
  await assert.rejects(connect(), (error) => {
    return OAuthError.is(error) && error.code === 'ERR_OAUTH_AUDIENCE'
  })
  assert.equal(authorizationServer.granted.size, 2)
  console.log(`The platform's tokens authorized billing-workload at ${mcpServer.url}`)
} finally {
  await mcpServer.close()
  await authorizationServer.close()
  await rm(folder, { recursive: true })
}
