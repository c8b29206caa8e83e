import { scope, startAuthorizationServer } from './authorization-server.ts'
import { startMcpServer } from './mcp-server.ts'

/** An authorization server and an MCP server that takes its tokens. */
export interface DemoServers {
  readonly issuer: string
  readonly mcpUrl: string
  close(): Promise<void>
}

/** Starts both on loopback, with one client. */
export async function startServers(
  client: Readonly<Record<string, unknown>>,
): Promise<DemoServers> {
  const authorizationServer = await startAuthorizationServer(client)
  try {
    const mcpServer = await startMcpServer({ ...authorizationServer, scope })
    authorizationServer.serve(mcpServer.url)
    return {
      issuer: authorizationServer.issuer,
      mcpUrl: mcpServer.url,
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
