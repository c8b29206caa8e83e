import type { AgentToken } from '@countersign/agent/internal'
import type { DiscoveredResource } from '@countersign/mcp/internal'
import type { TokenSource, TokenSourceOptions } from '@countersign/oauth'
import { type Command, Option } from 'commander'
import { type AgentOption, addAgentOption, agentClient, requireNoKey } from './agent-client.ts'
import { addClientOptions, type ClientOptions, required, requireUrl } from './client-options.ts'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
import { UsageError } from './errors.ts'
import { addKeyOptions, type KeyOptions, keyArgument } from './key-options.ts'

/** Options of `countersign token`. */
export interface TokenOptions extends KeyOptions, ClientOptions {
  readonly mcp?: string | undefined
  readonly resource?: string
}

/** `countersign token KEY` */
export function tokenCommand(): Command {
  const command = defineCommand('token', {
    summary: 'get an access token',
    description:
      'Authenticates the client with private_key_jwt and prints the access token. The authorization server is that of --issuer, or the one that the MCP server of --mcp names; with both, they must be the same. With --mcp, the token is for that MCP server, with the scope that it asks for.',
    examples: [
      [
        'countersign token key.pem --client-id billing-agent --issuer https://as.example.com --scope invoices',
        'From this authorization server',
      ],
      [
        'countersign token key.pem --client-id billing-agent --mcp https://mcp.example.com/mcp',
        'From the authorization server that the MCP server names',
      ],
      [
        'countersign token key.pem --client-id billing-agent --issuer https://as.example.com --json | jq .expires_in',
        'The whole token response',
      ],
      ['countersign token --agent billing', 'The token that a running agent shares'],
    ],
  }).argument('[key]', keyArgument)
  return addAgentOption(addJsonOption(addClientOptions(addKeyOptions(command))))
    .addOption(
      new Option('--mcp <url>', 'MCP server that the token is for').env('COUNTERSIGN_MCP_URL'),
    )
    .addOption(resourceOption())
    .action(runs<[string | undefined], TokenOptions & AgentOption>(printToken))
}

/** `--resource` */
export const resourceOption = (): Option =>
  new Option('--resource <url>', 'resource that the token is for, RFC 8707').env(
    'COUNTERSIGN_RESOURCE',
  )

async function printToken(
  context: Context,
  [key]: readonly [string | undefined],
  options: TokenOptions & AgentOption,
): Promise<undefined> {
  const { output } = context
  const { agent } = options
  const response =
    agent === undefined
      ? (await requestToken(context, key, options)).response
      : await requestAgentToken(context, agent, key, options)
  output.print(response, () => output.clean(response.access_token))
}

/** The agent's configuration decides everything but scope and resource, which the options may choose among its own. */
async function requestAgentToken(
  context: Context,
  agent: string | true,
  key: string | undefined,
  { resource, mcp, scope, timeout }: TokenOptions,
): Promise<AgentToken> {
  requireNoKey(key)
  const { signal } = context
  const client = await agentClient(context, agent, timeout)
  return context.progress('Waiting for the agent', () =>
    client.token({ resource: resource || mcp || undefined, scope: scope || undefined, signal }),
  )
}

/** A token response, and the resource that the token was requested for. */
export interface RequestedToken {
  readonly response: Awaited<ReturnType<TokenSource['tokenResponse']>>
  readonly resource: string | undefined
}

/** Opens the key, and gets an access token from the authorization server of the options. */
export async function requestToken(
  context: Context,
  key: string | undefined,
  options: TokenOptions,
): Promise<RequestedToken> {
  const [{ tokenSource }, { assertionOptions, pinnedAuthentication }, { useProxy }, { openKey }] =
    await Promise.all([
      import('@countersign/oauth'),
      import('./authentication.ts'),
      import('./network.ts'),
      import('./open-key.ts'),
    ])
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  if (options.issuer) await requireUrl(options.issuer, 'issuer of --issuer')
  if (options.resource) await requireUrl(options.resource, 'resource of --resource')
  await using opened = await openKey(context, key, options)
  await useProxy()
  const target = await targetOf(context, options)
  const source = tokenSource({
    ...target,
    clientId,
    authentication: pinnedAuthentication(opened.signer, {
      ...assertionOptions(options),
      issuer: options.issuer || undefined,
    }),
    timeoutSeconds: options.timeout,
  })
  const response = await context.progress('Getting an access token', () =>
    source.tokenResponse({ signal: context.signal }),
  )
  return { response, resource: target.resource }
}

type Target = Pick<TokenSourceOptions, 'issuer' | 'metadata' | 'resource' | 'scope'>

/** The authorization server and the resource: from the options, or from the challenge of the MCP server. */
async function targetOf(context: Context, options: TokenOptions): Promise<Target> {
  const { issuer, scope, resource, mcp } = options
  if (mcp) {
    const { chooseScope } = await import('./authentication.ts')
    const found = await discoveredResource(context, mcp, options)
    return {
      issuer: found.as.issuer,
      metadata: found.as,
      resource: resource || found.resource,
      scope: chooseScope(options, found.scope, found.scopesSupported),
    }
  }
  if (issuer) return { issuer, resource: resource || undefined, scope: scope || undefined }
  throw new UsageError(
    '--issuer or --mcp is missing; give one, or set COUNTERSIGN_ISSUER or COUNTERSIGN_MCP_URL',
  )
}

/** Sends a request without a token to the MCP server, and reads from its challenge where to get one. */
async function discoveredResource(
  context: Context,
  mcp: string,
  { issuer, timeout }: TokenOptions,
): Promise<DiscoveredResource> {
  const { discoverResource } = await import('@countersign/mcp/internal')
  const url = await requireUrl(mcp, 'MCP server of --mcp')
  return context.progress('Asking the MCP server where to get a token', () =>
    discoverResource(url, {
      issuer: issuer || undefined,
      fetch,
      timeoutSeconds: timeout,
      signal: context.signal,
    }),
  )
}
