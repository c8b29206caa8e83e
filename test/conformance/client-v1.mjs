// @ts-check
// The client under test on SDK v1: `node client-v1.mjs VARIANT URL`.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { leave, provider, url, viaProvider } from './client.mjs'

const client = new Client({ name: 'countersign-conformance-v1', version: '1.0.0' })
const fetch = viaProvider ? { fetch: provider.fetch } : {}
const transport = new StreamableHTTPClientTransport(url, { authProvider: provider, ...fetch })
await client.connect(
  /** @type {import('@modelcontextprotocol/sdk/shared/transport.js').Transport} */ (transport),
)
await client.listTools()
await client.close()
await leave()
