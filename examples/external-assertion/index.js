// @ts-check
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { clientCredentialsProvider } from '@countersign/mcp'
import { externalAssertion } from '@countersign/oauth'
import { exampleServers } from '@countersign/test/servers/example'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const clientId = process.env['COUNTERSIGN_CLIENT_ID'] || 'example-agent'
const sidecar = fork(fileURLToPath(new URL('./sidecar.js', import.meta.url)), [clientId])
const [sidecarUrl] = await once(sidecar, 'message')

const servers = await exampleServers({
  client_id: clientId,
  token_endpoint_auth_method: 'private_key_jwt',
  jwks_uri: `${sidecarUrl}/jwks`,
})

/** @param {string} audience */
async function askSidecar(audience) {
  const url = `${sidecarUrl}/assertion?${new URLSearchParams({ audience })}`
  const response = await fetch(url, { method: 'POST' })
  if (!response.ok) throw new Error(`the sidecar answered ${response.status}`)
  return response.text()
}

const provider = clientCredentialsProvider({
  clientId: servers.clientId,
  issuer: servers.issuer,
  authentication: externalAssertion(askSidecar),
})
const transport = new StreamableHTTPClientTransport(new URL(servers.mcpUrl), {
  fetch: provider.fetch,
})
const client = new Client({ name: 'external-assertion', version: '1.0.0' })
try {
  await client.connect(transport)
  const { tools } = await client.listTools()
  console.log(`An assertion made by process ${sidecar.pid} opened ${servers.mcpUrl}`)
  console.log(`Its tools: ${tools.map(({ name }) => name).join(', ')}`)
  if (!servers.own) {
    const { content } = await client.callTool({ name: 'whoami' })
    assert.deepEqual(content, [{ type: 'text', text: clientId }])
    console.log(`It knows who is calling: ${clientId}`)
  }
} finally {
  await client.close()
  await servers.close()
  sidecar.disconnect()
}
