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
  agentTokens,
} from './client.ts'
export { type ListenOptions, listenOnSocket, requireSocketFolder } from './socket.ts'
export { agentSocketPath } from './socket-path.ts'
