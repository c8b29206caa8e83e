// @ts-check
import { startAuthorizationServer } from './authorization-server.js'
import { startMcpServer } from './mcp-server.js'

/** The scope that the MCP server of {@link startPair} requires for every request. */
export const PAIR_SCOPE = 'tools'

/**
 * @typedef {object} Pair
 * @property {import('./authorization-server.js').AuthorizationServer} authorizationServer
 * @property {import('./mcp-server.js').TestMcpServer} mcpServer
 * @property {() => Promise<void>} close
 */

/**
 * Starts an authorization server with one registered client, and an MCP server that accepts its tokens.
 *
 * @param {import('./authorization-server.js').ClientRegistration} client
 * @param {{ sdk?: 'v1' | 'v2' | undefined, dpop?: boolean }} [options]  what the MCP server is made with, and whether it
 *   accepts only tokens that are bound to a key
 * @returns {Promise<Pair>}
 */
export async function startPair(client, { sdk = 'v2', dpop = false } = {}) {
  const authorizationServer = await startAuthorizationServer({
    clients: [client],
    ...(dpop && { dpop: 'supported' }),
  })
  try {
    const mcpServer = await startMcpServer({
      issuer: authorizationServer.issuer,
      sdk,
      dpop,
      scopesSupported: [PAIR_SCOPE],
      requiredScopes: [PAIR_SCOPE],
    })
    authorizationServer.registerResource(mcpServer.url, [PAIR_SCOPE])
    return {
      authorizationServer,
      mcpServer,
      async close() {
        await mcpServer.close()
        await authorizationServer.close()
      },
    }
  } catch (error) {
    await authorizationServer.close()
    throw error
  }
}
