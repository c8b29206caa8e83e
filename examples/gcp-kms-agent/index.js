// @ts-check
import assert from 'node:assert/strict'
import { jwks } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { exampleServers } from '@countersign/test/servers/example'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { openKms } from './kms.js'

const kms = await openKms()
const signer = await gcpKmsSigner(kms.options)

const servers = await exampleServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: jwks(signer),
})

const provider = clientCredentialsProvider({
  clientId: servers.clientId,
  issuer: servers.issuer,
  authentication: privateKeyJwt(signer),
})
const transport = new StreamableHTTPClientTransport(new URL(servers.mcpUrl), {
  fetch: provider.fetch,
})
const client = new Client({ name: 'gcp-kms-agent', version: '1.0.0' })
try {
  await client.connect(transport)
  const { tools } = await client.listTools()
  console.log(`Key ${signer.kid} (${signer.alg}) in ${kms.name} opened ${servers.mcpUrl}`)
  console.log(`Its tools: ${tools.map(({ name }) => name).join(', ')}`)
  if (!servers.own) {
    const { content } = await client.callTool({ name: 'whoami' })
    assert.deepEqual(content, [{ type: 'text', text: servers.clientId }])
    console.log(`It knows who is calling: ${servers.clientId}`)
  }
  kms.check()
} finally {
  await client.close()
  await servers.close()
  await kms.close()
}
