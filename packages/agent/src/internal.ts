/**
 * For the packages of this repository alone: it may change in any release.
 *
 * @module
 */

export {
  type AgentAssertion,
  type AgentHeaders,
  type AgentToken,
  type AgentTokenRequest,
  type AgentTokens,
  agentClientNames,
  agentTokens,
} from './client.ts'
export { type ListenOptions, listenOnSocket, requireSocketFolder, SocketError } from './socket.ts'
export { agentSocketPath } from './socket-path.ts'
