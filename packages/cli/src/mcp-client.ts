import type { Signer } from '@countersign/core'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import {
  Client,
  type RequestOptions,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client'
import { assertionOptions } from './authentication.ts'
import { type ClientOptions, required, requireUrl } from './client-options.ts'
import { type Context, version } from './command.ts'
import type { KeyOptions } from './key-options.ts'
import { describeMcpError } from './mcp-error.ts'
import { useProxy } from './network.ts'
import { openKey } from './open-key.ts'

/** Connects to an MCP server with the key and the client of the options, uses the connection, and closes it. */
export async function withMcpServer<T>(
  context: Context,
  server: string,
  options: KeyOptions & ClientOptions,
  use: (client: Client, request: RequestOptions) => Promise<T>,
): Promise<T> {
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  const url = await requireUrl(server, 'URL of the MCP server')
  if (options.issuer) await requireUrl(options.issuer, 'issuer of --issuer')
  await using opened = await openKey(context, undefined, options)
  await useProxy()
  const request = { signal: context.signal, timeout: options.timeout * 1000 }
  const client = new Client({ name: 'countersign', version })
  try {
    await context.progress('Connecting to the MCP server', () =>
      client.connect(transportTo(url, clientId, opened.signer, options), request),
    )
    return await use(client, request)
  } catch (error) {
    // The SDK wraps the reason of the abort in its own error.
    context.signal.throwIfAborted()
    throw describeMcpError(error, url, options.timeout)
  } finally {
    await client.close()
  }
}

function transportTo(
  url: URL,
  clientId: string,
  signer: Signer,
  options: KeyOptions & ClientOptions,
): StreamableHTTPClientTransport {
  const { fetch } = clientCredentialsProvider({
    clientId,
    issuer: options.issuer || undefined,
    scope: options.scope || undefined,
    maxScope: options.maxScope || undefined,
    authentication: privateKeyJwt(signer, assertionOptions(options)),
    timeoutSeconds: options.timeout,
  })
  return new StreamableHTTPClientTransport(url, { fetch })
}
