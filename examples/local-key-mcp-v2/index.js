// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { exampleServers } from '@countersign/test/servers/example'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const { COUNTERSIGN_KEY_FILE: keyFile } = process.env
const key = keyFile
  ? await readFile(keyFile, 'utf8')
  : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const signer = await localSigner({ key })

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
const client = new Client({ name: 'local-key-mcp-v2', version: '1.0.0' })
try {
  await client.connect(transport)
  const { tools } = await client.listTools()
  console.log(`Key ${signer.kid} (${signer.alg}) opened ${servers.mcpUrl}`)
  console.log(`Its tools: ${tools.map(({ name }) => name).join(', ')}`)
  if (!servers.own) {
    const { content } = await client.callTool({ name: 'whoami' })
    assert.deepEqual(content, [{ type: 'text', text: servers.clientId }])
    console.log(`It knows who is calling: ${servers.clientId}`)
  }
} finally {
  await client.close()
  await servers.close()
}
