// @ts-check
// The client under test on SDK v2: `node client-v2.mjs VARIANT URL`.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { leave, provider, url, viaProvider } from './client.mjs'

const client = new Client({ name: 'countersign-conformance-v2', version: '1.0.0' })
const fetch = viaProvider ? { fetch: provider.fetch } : {}
await client.connect(new StreamableHTTPClientTransport(url, { authProvider: provider, ...fetch }))
await client.listTools()
await client.close()
await leave()
