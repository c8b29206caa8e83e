import type { AgentToken } from '@countersign/agent/internal'
import type { DiscoveredResource } from '@countersign/mcp/internal'
import type { DpopSession, TokenSource, TokenSourceOptions } from '@countersign/oauth'
import { type Command, Option } from 'commander'
import { type AgentOption, addAgentOption, agentClient, requireNoKey } from './agent-client.ts'
import { addClientOptions, type ClientOptions, required, requireUrl } from './client-options.ts'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
import { addDpopOptions, type DpopOptions, openDpop, requireNoDpop } from './dpop-options.ts'
import { UsageError } from './errors.ts'
import { addKeyOptions, type KeyOptions, keyArgument } from './key-options.ts'

/** Options of `countersign token`. */
export interface TokenOptions extends KeyOptions, ClientOptions, DpopOptions {
  readonly mcp?: string | undefined
  readonly resource?: string
}

/** `countersign token KEY` */
export function tokenCommand(): Command {
  const command = defineCommand('token', {
    summary: 'get an access token',
    description:
      'Authenticates the client with private_key_jwt and prints the access token. The authorization server is that of --issuer, or the one that the MCP server of --mcp names; with both, they must be the same. With --mcp, the token is for that MCP server, with the scope that it asks for. With --dpop-key, the token is bound to that key, and --json also prints its thumbprint (cnf.jkt); every request with the token needs a proof that the key signs, as countersign headers makes it.',
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
      [
        'countersign token key.pem --client-id billing-agent --issuer https://as.example.com --dpop-key proofs.pem --json',
        'A token that is bound to another key',
      ],
      ['countersign token --agent billing', 'The token that a running agent shares'],
    ],
  }).argument('[key]', keyArgument)
  return addAgentOption(addJsonOption(addDpopOptions(addClientOptions(addKeyOptions(command)))))
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
      ? await requestOwnToken(context, key, options)
      : await requestAgentToken(context, agent, key, options)
  output.print(response, () => output.clean(response.access_token))
}

/** Requests a token with the key. Of a bound token, the thumbprint of its key is added, as introspection shows it. */
async function requestOwnToken(
  context: Context,
  key: string | undefined,
  options: TokenOptions,
): Promise<RequestedToken['response']> {
  if (options.dpop && !options.dpopKey) {
    throw new UsageError(
      'With --dpop alone, the token would be bound to a key in memory that no other process has, so it could not be used; give --dpop-key, or use countersign headers, call, tools or proxy, which also make the proofs',
    )
  }
  await using dpop = await openDpop(context, options)
  const { response } = await requestToken(context, key, options, dpop?.session)
  return dpop === undefined ? response : { ...response, cnf: { jkt: await dpop.session.jkt() } }
}

/** The agent's configuration decides everything but scope and resource, which the options may choose among its own. */
async function requestAgentToken(
  context: Context,
  agent: string | true,
  key: string | undefined,
  options: TokenOptions,
): Promise<AgentToken> {
  requireNoKey(key)
  requireNoDpop(options)
  const { resource, mcp, scope, timeout } = options
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

/**
 * Opens the key, and gets an access token from the authorization server of the options.
 *
 * @param session - binds the token to its key.
 */
export async function requestToken(
  context: Context,
  key: string | undefined,
  options: TokenOptions,
  session?: DpopSession,
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
  const target = await targetOf(context, options, session)
  const source = tokenSource({
    ...target,
    clientId,
    authentication: pinnedAuthentication(opened.signer, {
      ...assertionOptions(options),
      issuer: options.issuer || undefined,
    }),
    timeoutSeconds: options.timeout,
    dpop: session && { session },
  })
  const response = await context.progress('Getting an access token', () =>
    source.tokenResponse({ signal: context.signal }),
  )
  return { response, resource: target.resource }
}

type Target = Pick<TokenSourceOptions, 'issuer' | 'metadata' | 'resource' | 'scope'>

/** The authorization server and the resource: from the options, or from the challenge of the MCP server. */
async function targetOf(
  context: Context,
  options: TokenOptions,
  session: DpopSession | undefined,
): Promise<Target> {
  const { issuer, scope, resource, mcp } = options
  if (mcp) {
    const { chooseScope } = await import('./authentication.ts')
    const found = await discoveredResource(context, mcp, options, session)
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

/**
 * Sends a request without a token to the MCP server, and reads from its challenge where to get one. A nonce in the
 * response is stored for the proof.
 */
async function discoveredResource(
  context: Context,
  mcp: string,
  { issuer, timeout }: TokenOptions,
  session: DpopSession | undefined,
): Promise<DiscoveredResource> {
  const { discoverResource } = await import('@countersign/mcp/internal')
  const url = await requireUrl(mcp, 'MCP server of --mcp')
  return context.progress('Asking the MCP server where to get a token', () =>
    discoverResource(url, {
      issuer: issuer || undefined,
      async fetch(input, init) {
        const response = await fetch(input, init)
        session?.observeNonce(response, input instanceof Request ? input.url : input)
        return response
      },
      timeoutSeconds: timeout,
      signal: context.signal,
    }),
  )
}
