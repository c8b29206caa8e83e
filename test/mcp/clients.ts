import {
  auth as authV2,
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { auth as authV1 } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { ProviderOfBoth } from './provider-of-both.ts'

export const majors = ['v1', 'v2'] as const
export type Major = (typeof majors)[number]

/** What a test does with an MCP client of either SDK major. */
export interface McpClient {
  /** Calls a tool and returns the text of its answer. */
  call(tool: string, args?: Record<string, unknown>): Promise<string>
  close(): Promise<void>
}

/** What a transport is given. */
export interface Connection {
  readonly authProvider: ProviderOfBoth
  readonly fetch?: typeof fetch | undefined
  readonly redirectPolicy?: 'follow' | 'same-origin'
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

/** Runs an SDK's own authorization flow, as it does by itself where `provider.fetch` does not answer a 401. */
export async function authorize(
  major: Major,
  provider: ProviderOfBoth,
  options: {
    readonly serverUrl: string
    readonly resourceMetadataUrl?: URL
    readonly fetchFn: typeof fetch
  },
): Promise<void> {
  await (major === 'v1' ? authV1(provider, options) : authV2(provider, options))
}

async function connectV1(url: string, { fetch, ...options }: Connection): Promise<McpClient> {
  const client = new ClientV1(self)
  const transport = new TransportV1(new URL(url), { ...options, ...(fetch && { fetch }) })
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
