// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { jwks } from '@countersign/core'
import { startServers } from '@countersign/demo'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

// In an application, the key is a file: await readFile('key.pem', 'utf8').
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer = await localSigner({ key })

const servers = await startServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: jwks(signer),
})

const provider = clientCredentialsProvider({
  clientId: 'example-agent',
  issuer: servers.issuer,
  authentication: privateKeyJwt(signer),
})
const transport = new StreamableHTTPClientTransport(new URL(servers.mcpUrl), {
  fetch: provider.fetch,
})
const client = new Client({ name: 'local-key-mcp-v2', version: '1.0.0' })
try {
  await client.connect(transport)
  const { content } = await client.callTool({ name: 'whoami' })
  assert.deepEqual(content, [{ type: 'text', text: 'example-agent' }])
  console.log(`The key ${signer.kid} (${signer.alg}) authorized example-agent at ${servers.mcpUrl}`)
} finally {
  await client.close()
  await servers.close()
}
