// @ts-check
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { clientCredentialsProvider } from '@countersign/mcp'
import { clientSecretBasic } from '@countersign/oauth'
import { exampleServers } from '@countersign/test/servers/example'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const secret = process.env['COUNTERSIGN_CLIENT_SECRET'] || randomBytes(32).toString('base64url')

const servers = await exampleServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'client_secret_basic',
  client_secret: secret,
})

// A function is asked for the secret at each token request, so that one which was changed
// meanwhile is picked up.
let asked = 0
const provider = clientCredentialsProvider({
  clientId: servers.clientId,
  issuer: servers.issuer,
  authentication: clientSecretBasic(() => {
    asked += 1
    return secret
  }),
})
const transport = new StreamableHTTPClientTransport(new URL(servers.mcpUrl), {
  fetch: provider.fetch,
})
const client = new Client({ name: 'client-secret-mcp', version: '1.0.0' })
try {
  await client.connect(transport)
  const { tools } = await client.listTools()
  console.log(`A client secret, asked for ${asked} time(s), opened ${servers.mcpUrl}`)
  console.log(`Its tools: ${tools.map(({ name }) => name).join(', ')}`)
  if (!servers.own) {
    const { content } = await client.callTool({ name: 'whoami' })
    assert.deepEqual(content, [{ type: 'text', text: servers.clientId }])
    assert.equal(asked, 1)
    console.log(`It knows who is calling: ${servers.clientId}`)
  }
} finally {
  await client.close()
  await servers.close()
}
