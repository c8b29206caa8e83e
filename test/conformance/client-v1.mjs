// @ts-check
// The client under test on SDK v1: `node client-v1.mjs VARIANT URL`.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { connection, leave, url } from './client.mjs'

const client = new Client({ name: 'countersign-conformance-v1', version: '1.0.0' })
const transport = new StreamableHTTPClientTransport(url, connection)
await client.connect(
  /** @type {import('@modelcontextprotocol/sdk/shared/transport.js').Transport} */ (transport),
)
await client.listTools()
await client.close()
await leave()
