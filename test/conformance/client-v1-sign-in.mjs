// @ts-check
// A client with a user, on SDK v1: `node client-v1-sign-in.mjs VARIANT URL`.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { connectionOf, leave, provider } from './sign-in.mjs'

const [variant = '', serverUrl = ''] = process.argv.slice(2)
const { authProvider, ...fetch } = await connectionOf(variant)
const options = {
  authProvider:
    /** @type {import('@modelcontextprotocol/sdk/client/auth.js').OAuthClientProvider} */ (
      /** @type {unknown} */ (authProvider)
    ),
  ...fetch,
}

async function connect() {
  const client = new Client({ name: 'countersign-conformance', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(new URL(serverUrl), options)
  try {
    await client.connect(
      /** @type {import('@modelcontextprotocol/sdk/shared/transport.js').Transport} */ (transport),
    )
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error
    await transport.finishAuth(provider.answer().get('code') ?? '')
    return undefined
  }
  return client
}

const client = (await connect()) ?? (await connect())
await client?.listTools()
await client?.callTool({ name: 'test-tool', arguments: {} })
await client?.close()
await leave()
