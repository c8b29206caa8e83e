import { rotating } from '@countersign/core'
import { clientCredentialsProvider } from '@countersign/mcp'
import { type Fetch, privateKeyJwt } from '@countersign/oauth'
import { type AgentOption, agentClientName } from '../agent-client.ts'
import { assertionOptions } from '../authentication.ts'
import { type ClientOptions, required, requireUrl } from '../client-options.ts'
import type { Context } from '../command.ts'
import { keyStoreOf } from '../doctor.ts'
import { type DpopOptions, type OpenDpop, openDpop, requireNoDpop } from '../dpop-options.ts'
import { type KeyOptions, keyUriOf } from '../key-options.ts'
import { useProxy } from '../network.ts'
import { openKey } from '../open-key.ts'
import { type Explain, explainer } from './diagnosis.ts'

/** A `fetch` that authorizes requests to one MCP server. */
export interface Authorization extends AsyncDisposable {
  readonly fetch: Fetch
  /** Finds out why the authorization fails; absent with an agent, whose key is elsewhere. */
  readonly explain?: Explain
}

/** A tool may take as long as it needs, so the timeouts are those of the host. A dead connection is noticed by TCP. */
const connections = {
  headersTimeout: 0,
  bodyTimeout: 0,
  keepAliveMaxTimeout: 30_000,
  connect: { keepAlive: true, keepAliveInitialDelay: 15_000 },
}

/** Opens the key, and makes the authorization of the proxy. The key is loaded again when it has been replaced. */
export async function openAuthorization(
  context: Context,
  url: URL,
  options: KeyOptions & ClientOptions & AgentOption & DpopOptions,
): Promise<Authorization> {
  if (options.agent !== undefined) {
    requireNoDpop(options)
    return agentAuthorization(context, options.agent, options)
  }
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  if (options.issuer) await requireUrl(options.issuer, 'issuer of --issuer')
  await useProxy(connections)
  const source = rotating(
    async ({ signal }) => (await openKey({ ...context, signal }, undefined, options)).signer,
    { timeoutSeconds: options.timeout },
  )
  let dpop: OpenDpop | undefined
  try {
    await source.ready({ signal: context.signal })
    dpop = await openDpop(context, options)
  } catch (error) {
    await source.close()
    throw error
  }
  const client = {
    clientId,
    issuer: options.issuer || undefined,
    scope: options.scope || undefined,
    maxScope: options.maxScope || undefined,
    timeoutSeconds: options.timeout,
  }
  const assertion = assertionOptions(options)
  const { fetch } = clientCredentialsProvider({
    ...client,
    authentication: privateKeyJwt(source, assertion),
    dpop: dpop && { session: dpop.session },
  })
  const explain = explainer({
    ...{ ...client, assertion, mcp: url.href, keyStore: keyStoreOf(keyUriOf(undefined, options)) },
    source,
    dpop,
  })
  async function close(): Promise<void> {
    await source.close()
    await dpop?.[Symbol.asyncDispose]()
  }
  return { fetch, explain, [Symbol.asyncDispose]: close }
}

/** The agent has the key, and caches the token for all processes. */
async function agentAuthorization(
  context: Context,
  agent: string | true,
  { scope, timeout: timeoutSeconds }: KeyOptions & ClientOptions,
): Promise<Authorization> {
  const { agentFetch } = await import('@countersign/agent')
  const name = await agentClientName(context, agent, timeoutSeconds)
  await useProxy(connections)
  const fetch = agentFetch(name, { scope: scope || undefined, timeoutSeconds })
  return { fetch, [Symbol.asyncDispose]: async () => {} }
}
