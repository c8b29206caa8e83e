export {
  type AuthorizationServerOptions,
  type DemoAuthorizationServer,
  type RegisteredClient,
  startAuthorizationServer,
} from './authorization-server.ts'
export { type DemoMcpServer, type McpServerOptions, startMcpServer } from './mcp-server.ts'
export { type DemoServers, startServers } from './servers.ts'
