import type { AgentTokens } from '@countersign/agent/internal'
import { type Command, Option } from 'commander'
import type { Context } from './command.ts'
import { UsageError } from './errors.ts'

/** The option of commands that can use an agent, as commander parses it. */
export interface AgentOption {
  /** The name of a client; `true` for the only one. */
  readonly agent?: string | true
}

/** Adds `--agent`. It takes precedence over a key in the environment, and is refused together with `--key`. */
export function addAgentOption(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--agent [client]',
        'use this client of a running agent in place of a key, or its only client; COUNTERSIGN_AGENT names the socket',
      ),
    )
    .hook('preAction', () => {
      const isGiven = (option: string) => command.getOptionValueSource(option) === 'cli'
      if (isGiven('agent') && isGiven('key')) refuseKey()
    })
}

/** Connects to the client of the agent that `--agent` names. */
export async function agentClient(
  context: Context,
  agent: string | true,
  timeoutSeconds: number,
): Promise<AgentTokens> {
  const { agentTokens } = await import('@countersign/agent/internal')
  return agentTokens(await agentClientName(context, agent, timeoutSeconds), { timeoutSeconds })
}

/** The name of the client that `--agent` names: its only client if none was given. */
export async function agentClientName(
  context: Context,
  agent: string | true,
  timeoutSeconds: number,
): Promise<string> {
  if (agent !== true) return agent
  const { agentClientNames } = await import('@countersign/agent/internal')
  const names = await context.progress('Asking the agent for its clients', () =>
    agentClientNames({ timeoutSeconds }),
  )
  const [only, ...others] = names
  if (only !== undefined && others.length === 0) return only
  throw new UsageError(
    `The agent has ${names.length} clients; name one with --agent: ${names.slice(0, 10).join(', ')}`,
  )
}

/** Refuses a key as an argument besides `--agent`. */
export function requireNoKey(key: string | undefined): void {
  if (key !== undefined) refuseKey()
}

function refuseKey(): never {
  throw new UsageError('A key and --agent were given; leave one of them out')
}
