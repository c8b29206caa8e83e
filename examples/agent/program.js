// @ts-check
import assert from 'node:assert/strict'
import { agentFetch } from '@countersign/agent'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const [, , mcpUrl = ''] = process.argv

// The variable COUNTERSIGN_AGENT names the socket of the agent.
const transport = new StreamableHTTPClientTransport(new URL(mcpUrl), {
  fetch: agentFetch('billing'),
})
const client = new Client({ name: 'program', version: '1.0.0' })
try {
  await client.connect(transport)
  const { content } = await client.callTool({ name: 'whoami' })
  assert.deepEqual(content, [{ type: 'text', text: 'example-agent' }])
  console.log(`Process ${process.pid}, which has no key, called a tool at ${mcpUrl}`)
} finally {
  await client.close()
}
