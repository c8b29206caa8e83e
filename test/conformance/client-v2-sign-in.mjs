// @ts-check
// A client with a user, on SDK v2: `node client-v2-sign-in.mjs VARIANT URL`.
import {
  Client,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from '@modelcontextprotocol/client'
import { connectionOf, leave, provider } from './sign-in.mjs'

const [variant = '', serverUrl = ''] = process.argv.slice(2)
const version = process.env['MCP_CONFORMANCE_PROTOCOL_VERSION'] ?? ''
/** @type {import('@modelcontextprotocol/client').ClientOptions} */
const asVersion = version < '2026-07-28' ? {} : { versionNegotiation: { mode: { pin: version } } }

const options = await connectionOf(variant)

/** The number of sign-ins that a step-up may need. */
const maxSignIns = 2

/**
 * @template T
 * @param {() => StreamableHTTPClientTransport} transport
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function signingIn(transport, work) {
  for (let signIns = 0; ; signIns++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || signIns === maxSignIns) throw error
      await transport().finishAuth(provider.answer())
    }
  }
}

/** @type {Client} */
let client
/** @type {StreamableHTTPClientTransport} */
let transport
const current = () => transport
await signingIn(current, async () => {
  client = new Client({ name: 'countersign-conformance', version: '1.0.0' }, asVersion)
  transport = new StreamableHTTPClientTransport(new URL(serverUrl), options)
  await client.connect(transport)
})
await signingIn(current, () => client.listTools())
await signingIn(current, () => client.callTool({ name: 'test-tool', arguments: {} }))
await client.close()
await leave()
