// @ts-check
// The client under test on SDK v2: `node client-v2.mjs VARIANT URL`.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { connectionV2, leave, url } from './client.mjs'

const client = new Client({ name: 'countersign-conformance-v2', version: '1.0.0' })
await client.connect(new StreamableHTTPClientTransport(url, connectionV2))
await client.listTools()
await client.close()
await leave()
