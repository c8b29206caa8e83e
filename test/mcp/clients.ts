import {
  type ClientCredentialsProvider,
  type ClientCredentialsProviderOptions,
  clientCredentialsProvider,
} from '@countersign/mcp'
import type { Fetch } from '@countersign/oauth'
import {
  type AuthProvider,
  auth as authV2,
  Client as ClientV2,
  type OAuthClientProvider as ProviderV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import {
  auth as authV1,
  type OAuthClientProvider as ProviderV1,
} from '@modelcontextprotocol/sdk/client/auth.js'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'

/** An `OAuthClientProvider` of both SDK majors. */
export type ProviderOfBoth = ProviderV1 & ProviderV2

export const majors = ['v1', 'v2'] as const
export type Major = (typeof majors)[number]

/** An MCP client of either SDK major. */
export interface McpClient {
  /** Calls a tool and returns the text of its result. */
  call(tool: string, args?: Record<string, unknown>): Promise<string>
  close(): Promise<void>
}

/** Options of a transport. */
export interface Connection {
  /** An `OAuthClientProvider`; or an `AuthProvider`, which only SDK v2 takes. */
  readonly authProvider?: ProviderOfBoth | AuthProvider
  readonly fetch?: Fetch | undefined
  readonly redirectPolicy?: 'follow' | 'same-origin'
}

/** The ways to give a provider to the transport of an SDK. SDK v1 has no `AuthProvider`. */
export const ways = [
  { major: 'v1', way: 'fetch' },
  { major: 'v2', way: 'fetch' },
  { major: 'v2', way: 'AuthProvider' },
  { major: 'v1', way: 'OAuthClientProvider' },
  { major: 'v2', way: 'OAuthClientProvider' },
] as const
export type Way = (typeof ways)[number]

/**
 * Makes a provider, and the options of a transport that has it in one of the ways.
 *
 * @param url - of the MCP server; only an `OAuthClientProvider` is told it.
 */
export function provide(
  { way }: Way,
  url: string,
  options: ClientCredentialsProviderOptions,
): { readonly provider: ClientCredentialsProvider; readonly connection: Connection } {
  if (way === 'OAuthClientProvider') {
    const provider = clientCredentialsProvider({ ...options, serverUrl: url })
    return { provider, connection: { authProvider: provider, ...ownFetch(options) } }
  }
  const provider = clientCredentialsProvider(options)
  const { fetch, authProvider } = provider
  if (way === 'fetch') return { provider, connection: { fetch } }
  return { provider, connection: { authProvider, ...ownFetch(options) } }
}

function ownFetch({ fetch }: ClientCredentialsProviderOptions): Connection {
  return fetch === undefined ? {} : { fetch }
}

const self = { name: 'countersign-test', version: '1.0.0' }

/** Connects an SDK's own client through its own transport. */
export async function connect(
  major: Major,
  url: string,
  connection: Connection,
): Promise<McpClient> {
  return major === 'v1' ? connectV1(url, connection) : connectV2(url, connection)
}

/** Runs an SDK's own authorization flow, as it does by itself after a 401 that it receives. */
export async function authorize(
  major: Major,
  provider: ProviderOfBoth,
  options: {
    readonly serverUrl: string
    readonly resourceMetadataUrl?: URL
    readonly fetchFn: Fetch
  },
): Promise<void> {
  await (major === 'v1' ? authV1(provider, options) : authV2(provider, options))
}

async function connectV1(
  url: string,
  { fetch, authProvider, ...options }: Connection,
): Promise<McpClient> {
  const client = new ClientV1(self)
  const transport = new TransportV1(new URL(url), {
    ...options,
    ...(authProvider && { authProvider: authProvider as ProviderOfBoth }),
    ...(fetch && { fetch }),
  })
  await closingOnFailure(client, () => client.connect(transport as Transport))
  return {
    call: async (name, args = {}) => text(await client.callTool({ name, arguments: args })),
    close: () => client.close(),
  }
}

async function connectV2(url: string, { fetch, ...options }: Connection): Promise<McpClient> {
  const client = new ClientV2(self)
  const transport = new TransportV2(new URL(url), { ...options, ...(fetch && { fetch }) })
  await closingOnFailure(client, () => client.connect(transport))
  return {
    call: async (name, args = {}) => text(await client.callTool({ name, arguments: args })),
    close: () => client.close(),
  }
}

async function closingOnFailure(
  client: { close(): Promise<void> },
  connecting: () => Promise<void>,
): Promise<void> {
  try {
    await connecting()
  } catch (error) {
    await client.close()
    throw error
  }
}

function text(result: { readonly [member: string]: unknown }): string {
  const [first] = result['content'] as readonly { readonly text?: string }[]
  return first?.text ?? ''
}
