export { AgentError, type AgentErrorCode, type AgentErrorOptions } from './agent-error.ts'
export { type AgentFetchOptions, agentFetch } from './agent-fetch.ts'
export { type AgentClientOptions, agentAssertion } from './client.ts'
