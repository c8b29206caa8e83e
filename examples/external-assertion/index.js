// @ts-check
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { startServers } from '@countersign/demo'
import { clientCredentialsProvider } from '@countersign/mcp'
import { externalAssertion } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const sidecar = fork(fileURLToPath(new URL('./sidecar.js', import.meta.url)), ['example-agent'])
const [sidecarUrl] = await once(sidecar, 'message')

const servers = await startServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks_uri: `${sidecarUrl}/jwks`,
})

const provider = clientCredentialsProvider({
  clientId: 'example-agent',
  issuer: servers.issuer,
  authentication: externalAssertion(async (audience) => {
    const url = `${sidecarUrl}/assertion?${new URLSearchParams({ audience })}`
    const response = await fetch(url, { method: 'POST' })
    if (!response.ok) throw new Error(`the sidecar answered ${response.status}`)
    return response.text()
  }),
})
const transport = new StreamableHTTPClientTransport(new URL(servers.mcpUrl), {
  fetch: provider.fetch,
})
const client = new Client({ name: 'external-assertion', version: '1.0.0' })
try {
  await client.connect(transport)
  const { content } = await client.callTool({ name: 'whoami' })
  assert.deepEqual(content, [{ type: 'text', text: 'example-agent' }])
  console.log(
    `An assertion by process ${sidecar.pid} authorized example-agent at ${servers.mcpUrl}`,
  )
} finally {
  await client.close()
  await servers.close()
  sidecar.disconnect()
}
