import { SignerError } from '@countersign/core'
import { sanitize } from '@countersign/core/backend'
import { OAuthError } from '@countersign/oauth'
import { describeUnreachable } from './network.ts'

/** A failed request to an MCP server. The message names its URL. */
export class McpError extends Error {
  readonly code: 'ERR_MCP' | 'ERR_NETWORK' | 'ERR_TIMEOUT'
  /** Whether it could not be reached, failed or timed out; otherwise it refused, or is not an MCP server. */
  readonly isNetwork: boolean

  constructor(code: McpError['code'], message: string, cause: unknown, isNetwork = true) {
    super(message, { cause })
    this.code = code
    this.isNetwork = isNetwork
  }

  static {
    Object.defineProperty(McpError.prototype, 'name', { value: 'McpError' })
  }
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
    const late = `${server} did not answer within ${timeoutSeconds} s; raise --timeout if it needs longer`
    return new McpError('ERR_TIMEOUT', late, error)
  }
  if (name === 'TypeError' && message === 'fetch failed') {
    const { cause } = error as { readonly cause?: Thrown }
    const reason = sanitize(String(cause?.message ?? 'unknown reason'))
    return new McpError('ERR_NETWORK', `${server} cannot be reached: ${reason}`, error)
  }
  if (name === 'SdkHttpError') {
    const status = Number(data?.status)
    const text = typeof data?.text === 'string' ? sanitize(data.text).trim() : ''
    const said = text === '' ? '' : `: ${text}`
    const hint = status === 404 || status === 405 ? '; check its URL' : ''
    const found = `${server} answered with HTTP status ${status}${said}${hint}`
    return new McpError('ERR_MCP', found, error, status === 429 || status >= 500)
  }
  // The code of a JSON-RPC error is a number.
  if (name === 'SdkError' || typeof code === 'number') {
    const isNetwork = code === 'CONNECTION_CLOSED' || code === 'SEND_FAILED'
    return new McpError('ERR_MCP', `${server}: ${sanitize(String(message))}`, error, isNetwork)
  }
  if (/^\$?ZodError$|^SyntaxError$/.test(String(name))) {
    const gibberish = `${server} does not answer with MCP; check its URL`
    return new McpError('ERR_MCP', gibberish, error, false)
  }
  return error
}

/** The first `OAuthError` or `SignerError` among an error and its causes. */
function ownCause(error: unknown, depth = 5): OAuthError | SignerError | undefined {
  if (OAuthError.is(error) || SignerError.is(error)) return error
  return error instanceof Error && depth > 0 ? ownCause(error.cause, depth - 1) : undefined
}
