import { type Signer, SignerError } from '@countersign/core'
import { sanitize } from '@countersign/core/backend'
import { clientCredentialsProvider } from '@countersign/mcp'
import { OAuthError, privateKeyJwt } from '@countersign/oauth'
import type { Client, RequestOptions } from '@modelcontextprotocol/client'
import { assertionOptions } from './authentication.ts'
import { type ClientOptions, required, requireUrl } from './client-options.ts'
import { type Context, version } from './command.ts'
import { type DpopOptions, type OpenDpop, openDpop } from './dpop-options.ts'
import { McpError } from './errors.ts'
import type { KeyOptions } from './key-options.ts'
import { describeUnreachable, useProxy } from './network.ts'
import { openKey } from './open-key.ts'

/** Connects to an MCP server with the key and the client of the options, uses the connection, and closes it. */
export async function withMcpServer<T>(
  context: Context,
  server: string,
  options: KeyOptions & ClientOptions & DpopOptions,
  use: (client: Client, request: RequestOptions) => Promise<T>,
): Promise<T> {
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  const url = await requireUrl(server, 'URL of the MCP server')
  if (options.issuer) await requireUrl(options.issuer, 'issuer of --issuer')
  await using opened = await openKey(context, undefined, options)
  await using dpop = await openDpop(context, options)
  await useProxy()
  const request = { signal: context.signal, timeout: options.timeout * 1000 }
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client')
  const fetch = fetchFor(clientId, opened.signer, dpop, options)
  const client = new Client({ name: 'countersign', version })
  try {
    await context.progress('Connecting to the MCP server', () =>
      client.connect(new StreamableHTTPClientTransport(url, { fetch }), request),
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

/** A `fetch` that gets tokens and attaches them. */
function fetchFor(
  clientId: string,
  signer: Signer,
  dpop: OpenDpop | undefined,
  options: KeyOptions & ClientOptions,
) {
  return clientCredentialsProvider({
    clientId,
    issuer: options.issuer || undefined,
    scope: options.scope || undefined,
    maxScope: options.maxScope || undefined,
    authentication: privateKeyJwt(signer, assertionOptions(options)),
    timeoutSeconds: options.timeout,
    dpop: dpop && { session: dpop.session },
  }).fetch
}

/** The members of errors of the MCP SDK, of Node.js and of parsers. */
interface Thrown {
  readonly name?: unknown
  readonly code?: unknown
  readonly message?: unknown
  readonly data?: { readonly status?: unknown; readonly text?: unknown }
}

/**
 * Describes why a request to an MCP server failed.
 *
 * @returns a {@link McpError}; the `OAuthError` or `SignerError` that caused the failure; any other error unchanged.
 */
export function describeMcpError(error: unknown, url: URL, timeoutSeconds: number): unknown {
  const own = ownCause(error)
  if (own !== undefined) return own
  const { name, code, message, data } = (error ?? {}) as Thrown
  const server = `The MCP server ${url.origin}${url.pathname}`
  const why = describeUnreachable(error)
  if (why !== undefined) {
    return new McpError('ERR_NETWORK', `${server} cannot be reached: ${why}`, error)
  }
  if (name === 'TimeoutError' || code === 'REQUEST_TIMEOUT') {
    const message = `${server} did not answer within ${timeoutSeconds} s; raise --timeout if it needs longer`
    return new McpError('ERR_TIMEOUT', message, error)
  }
  if (name === 'TypeError' && message === 'fetch failed') {
    const { cause } = error as { readonly cause?: Thrown }
    const reason = sanitize(String(cause?.message ?? 'unknown reason'))
    return new McpError('ERR_NETWORK', `${server} cannot be reached: ${reason}`, error)
  }
  if (name === 'SdkHttpError') {
    const status = Number(data?.status)
    const text = typeof data?.text === 'string' ? sanitize(data.text).trim() : ''
    const details = text === '' ? '' : `: ${text}`
    const hint = status === 404 || status === 405 ? '; check its URL' : ''
    const found = `${server} answered with HTTP status ${status}${details}${hint}`
    return new McpError('ERR_MCP', found, error, status === 429 || status >= 500)
  }
  // The code of a JSON-RPC error is a number.
  if (name === 'SdkError' || typeof code === 'number') {
    const isNetwork = code === 'CONNECTION_CLOSED' || code === 'SEND_FAILED'
    return new McpError('ERR_MCP', `${server}: ${sanitize(String(message))}`, error, isNetwork)
  }
  if (/^\$?ZodError$|^SyntaxError$/.test(String(name))) {
    const message = `${server} does not answer with MCP; check its URL`
    return new McpError('ERR_MCP', message, error, false)
  }
  return error
}

/** The first `OAuthError` or `SignerError` among an error and its causes. */
function ownCause(error: unknown, depth = 5): OAuthError | SignerError | undefined {
  if (OAuthError.is(error) || SignerError.is(error)) return error
  return error instanceof Error && depth > 0 ? ownCause(error.cause, depth - 1) : undefined
}
