// @ts-check
import { PAIR_SCOPE, startPair } from './pair.js'

/**
 * @typedef {object} ExampleServers
 * @property {string} issuer
 * @property {string} mcpUrl
 * @property {string} clientId
 * @property {string | undefined} scope
 * @property {boolean} own  whether they are the user's, of whose tools nothing is known
 * @property {() => Promise<void>} close
 */

/**
 * The servers that an example talks to: the user's own, when the environment names them, else a
 * pair on loopback.
 *
 * @param {import('./authorization-server.js').ClientRegistration} client  registered with the pair
 * @param {{ sdk?: 'v1' | 'v2' }} [options]  what the MCP server of the pair is made with
 * @returns {Promise<ExampleServers>}
 */
export async function exampleServers(client, { sdk } = {}) {
  const own = ownServers()
  if (own !== undefined) return own
  const { authorizationServer, mcpServer, close } = await startPair(client, { sdk })
  return {
    issuer: authorizationServer.issuer,
    mcpUrl: mcpServer.url,
    clientId: client.client_id,
    scope: PAIR_SCOPE,
    own: false,
    close,
  }
}

/** @returns {ExampleServers | undefined} */
function ownServers() {
  const {
    COUNTERSIGN_ISSUER: issuer,
    COUNTERSIGN_MCP_URL: mcpUrl,
    COUNTERSIGN_CLIENT_ID: clientId,
    COUNTERSIGN_SCOPE: scope,
  } = process.env
  if (!issuer && !mcpUrl) return undefined
  if (issuer && mcpUrl && clientId) {
    return { issuer, mcpUrl, clientId, scope: scope || undefined, own: true, async close() {} }
  }
  throw new Error(
    'COUNTERSIGN_ISSUER, COUNTERSIGN_MCP_URL and COUNTERSIGN_CLIENT_ID belong together: set all three, or none for servers on loopback',
  )
}
