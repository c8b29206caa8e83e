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
import type { Frame } from './frame.ts'
import { type KeyOptions, openKey } from './key-option.ts'
import { describeMcpError } from './mcp-error.ts'
import { useProxy } from './proxy.ts'
import { version } from './version.ts'

/** Connects to an MCP server as the client that the options describe, uses the connection, and closes it. */
export async function withMcpServer<T>(
  frame: Frame,
  server: string,
  options: KeyOptions & ClientOptions,
  use: (client: Client, request: RequestOptions) => Promise<T>,
): Promise<T> {
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  const url = await requireUrl(server, 'URL of the MCP server')
  if (options.issuer) await requireUrl(options.issuer, 'issuer of --issuer')
  await using opened = await openKey(frame, undefined, options)
  await useProxy()
  const request = { signal: frame.signal, timeout: options.timeout * 1000 }
  const client = new Client({ name: 'countersign', version })
  try {
    await frame.progress('Connecting to the MCP server', () =>
      client.connect(transportTo(url, clientId, opened.signer, options), request),
    )
    return await use(client, request)
  } catch (error) {
    // The SDK wraps the reason in an error of its own.
    frame.signal.throwIfAborted()
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
  const provider = clientCredentialsProvider({
    clientId,
    issuer: options.issuer || undefined,
    scope: options.scope || undefined,
    maxScope: options.maxScope || undefined,
    authentication: privateKeyJwt(signer, assertionOptions(options)),
    timeoutSeconds: options.timeout,
  })
  return new StreamableHTTPClientTransport(url, { fetch: provider.fetch })
}
