// @ts-check
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { startServers } from '@countersign/demo'
import { clientCredentialsProvider } from '@countersign/mcp'
import { clientSecretBasic } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const secret = randomBytes(32).toString('base64url')

const servers = await startServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'client_secret_basic',
  client_secret: secret,
})

// The function is called for each token request, so a replaced secret is used from the next request on.
let calls = 0
const provider = clientCredentialsProvider({
  clientId: 'example-agent',
  issuer: servers.issuer,
  authentication: clientSecretBasic(() => {
    calls += 1
    return secret
  }),
})
const transport = new StreamableHTTPClientTransport(new URL(servers.mcpUrl), {
  fetch: provider.fetch,
})
const client = new Client({ name: 'client-secret-mcp', version: '1.0.0' })
try {
  await client.connect(transport)
  const { content } = await client.callTool({ name: 'whoami' })
  assert.deepEqual(content, [{ type: 'text', text: 'example-agent' }])
  assert.equal(calls, 1)
  console.log(`A secret, read ${calls} time, authorized example-agent at ${servers.mcpUrl}`)
} finally {
  await client.close()
  await servers.close()
}
