import type { AgentConfiguration } from './configuration.ts'
import { ConfigurationError } from './configuration.ts'
import { type ClientSurroundings, type ServedClient, serveClient } from './served-client.ts'

/** The clients of one configuration, by name. */
export type ClientSet = ReadonlyMap<string, ServedClient>

/**
 * Opens the clients of a configuration. Those of the set in use whose configuration is the same are taken over, with
 * their keys and tokens.
 *
 * @throws {@link ConfigurationError} when a key cannot be opened; then nothing has changed.
 */
export async function openClients(
  { clients }: AgentConfiguration,
  inUse: ClientSet,
  surroundings: ClientSurroundings,
): Promise<ClientSet> {
  const opened: ServedClient[] = []
  const results = await Promise.allSettled(
    Object.entries(clients).map(async ([name, configuration]) => {
      const before = inUse.get(name)
      const isSame = JSON.stringify(before?.configuration) === JSON.stringify(configuration)
      if (before !== undefined && isSame) return before
      const client = await serveClient(name, configuration, surroundings).catch((cause) => {
        const message = `The key of the client ${JSON.stringify(name)} cannot be opened: ${(cause as Error).message}`
        throw Object.assign(new ConfigurationError(message), { cause })
      })
      opened.push(client)
      return client
    }),
  )
  const failed = results.find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') {
    await Promise.allSettled(opened.map((client) => client.retire()))
    throw failed.reason
  }
  return new Map(
    results.flatMap((result) =>
      result.status === 'fulfilled' ? [[result.value.name, result.value] as const] : [],
    ),
  )
}

/** Releases the clients that the next set does not have, each after its last use. */
export function retireOthers(before: ClientSet, next: ClientSet): Promise<unknown> {
  const others = [...before].filter(([name, client]) => next.get(name) !== client)
  return Promise.allSettled(others.map(([, client]) => client.retire()))
}
