/**
 * The server half of the agent. Importing `@countersign/agent` does not load it.
 *
 * @module
 */

export { activationDescriptor, notifyReady } from './activation.ts'
export { type AgentOptions, type RunningAgent, startAgent } from './agent.ts'
export {
  type AgentConfiguration,
  type AuditConfiguration,
  type ClientConfiguration,
  ConfigurationError,
  defaultConfigurationPath,
  readConfiguration,
  type SidecarConfiguration,
} from './configuration.ts'
export type { OpenKey } from './key-pool.ts'
