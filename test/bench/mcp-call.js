// @ts-check
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { durationRow, takeTurns } from './measure.js'
import { clientId, startServers } from './servers/start.js'

/** @import { Fetch } from '@countersign/oauth' */
/** @import { Row } from './measure.js' */

/**
 * A connected client, and how to call a tool with it.
 *
 * @typedef {{ call: () => Promise<unknown>, close: () => Promise<void> }} Connection
 */

const about = { name: 'bench', version: '1.0.0' }

/** @type {Record<'v1' | 'v2', (url: URL, options: { fetch?: Fetch, requestInit?: RequestInit }) => Promise<Connection>>} */
const connect = {
  async v1(url, options) {
    const client = new Client(about)
    const transport = new StreamableHTTPClientTransport(url, options)
    // The declarations of the SDK do not allow for exactOptionalPropertyTypes.
    await client.connect(/** @type {any} */ (transport))
    return { call: () => client.callTool({ name: 'whoami' }), close: () => client.close() }
  },
  v2: connectV2,
}

/**
 * @param {URL} url
 * @param {{ fetch?: Fetch, requestInit?: RequestInit }} options
 * @returns {Promise<Connection>}
 */
export async function connectV2(url, options) {
  const client = new v2.Client(about)
  await client.connect(new v2.StreamableHTTPClientTransport(url, options))
  return { call: () => client.callTool({ name: 'whoami' }), close: () => client.close() }
}

/**
 * One tool call with `provider.fetch`, against the same call with a fixed token, on both majors of the MCP SDK. The
 * token is valid throughout.
 *
 * @returns {AsyncGenerator<Row>}
 */
export async function* run() {
  for (const sdk of /** @type {const} */ (['v1', 'v2'])) {
    const { signer, issuer, mcpUrl, close } = await startServers(sdk)
    const url = new URL(mcpUrl)
    const options = { clientId, issuer, authentication: privateKeyJwt(signer), scope: 'tools' }
    const { fetch } = clientCredentialsProvider(options)
    const token = await tokenSource({ ...options, resource: mcpUrl }).token()
    const ours = await connect[sdk](url, { fetch })
    const headers = { authorization: `Bearer ${token}` }
    const fixed = await connect[sdk](url, { requestInit: { headers } })
    try {
      const rates = await takeTurns(
        { 'provider.fetch': repeated(ours.call), 'a fixed token': repeated(fixed.call) },
        { rounds: 101, severalProcesses: true },
      )
      yield durationRow(rates, {
        name: `MCP call, SDK ${sdk}`,
        of: 'provider.fetch',
        over: 'a fixed token',
        target: { atMost: 1.05 },
      })
    } finally {
      await Promise.all([ours.close(), fixed.close()])
      close()
    }
  }
}

/** @type {(call: () => Promise<unknown>) => import('./measure.js').Contender} */
export const repeated = (call) => async (times) => {
  while (times-- > 0) await call()
}
