import { type RegisteredClient, startAuthorizationServer } from './authorization-server.ts'
import { startMcpServer } from './mcp-server.ts'

/** A running authorization server, and a running MCP server that accepts its tokens. */
export interface DemoServers extends AsyncDisposable {
  readonly issuer: string
  /** The MCP endpoint, which is also the resource identifier (RFC 8707). */
  readonly mcpUrl: string
  /** The scope value that the MCP server needs. */
  readonly scope: string
  /** Closes all connections of both and frees their ports. */
  close(): Promise<void>
}

/**
 * Starts an authorization server that knows one client, and an MCP server that accepts its tokens, on free ports of
 * 127.0.0.1.
 *
 * @param client - the client's metadata (RFC 7591 §2), with its public keys.
 * @param options - `algorithms`: what the authorization server advertises and accepts for `private_key_jwt`; all that
 *   oidc-provider supports by default. `dpop`: whether the MCP server accepts only tokens that are
 *   bound to a key (RFC 9449); `false` by default.
 * @returns both servers; close them, or declare them by `await using`.
 *
 * @example
 * ```ts
 * import { jwks, type Signer } from '@countersign/core'
 * import { startServers } from '@countersign/demo'
 *
 * declare const signer: Signer
 *
 * await using servers = await startServers({
 *   client_id: 'agent',
 *   token_endpoint_auth_method: 'private_key_jwt',
 *   jwks: jwks(signer),
 * })
 * console.log(servers.issuer, servers.mcpUrl)
 * ```
 *
 * @see [MCP, Authorization](https://modelcontextprotocol.io/specification/latest/basic/authorization)
 */
export async function startServers(
  client: RegisteredClient,
  {
    algorithms,
    dpop,
  }: {
    readonly algorithms?: readonly string[] | undefined
    readonly dpop?: boolean | undefined
  } = {},
): Promise<DemoServers> {
  const authorizationServer = await startAuthorizationServer({ clients: [client], algorithms })
  try {
    const { issuer } = authorizationServer
    const mcpServer = await startMcpServer({ issuer, dpop })
    const { url, scope } = mcpServer
    authorizationServer.registerResource(url, scope)
    const close = async () => {
      await mcpServer.close()
      await authorizationServer.close()
    }
    return { issuer, mcpUrl: url, scope, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await authorizationServer.close()
    throw error
  }
}
