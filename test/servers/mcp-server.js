// @ts-check
import * as oauth from 'oauth4webapi'
import { accessTokenVerifier } from './access-tokens.js'
import { dpopResource } from './dpop-resource.js'
import { listenOnLoopback } from './loopback.js'

/**
 * @typedef {object} McpServerOptions
 * @property {string} issuer  the authorization server whose access tokens are accepted
 * @property {'v1' | 'v2'} [sdk]  `@modelcontextprotocol/sdk` or `@modelcontextprotocol/server`
 * @property {string} [path]  where the MCP endpoint is, `/` or like the default, `/mcp`
 * @property {string[]} [scopesSupported]  published in the resource metadata
 * @property {string[]} [requiredScopes]  needed for every request
 * @property {Partial<Record<ToolName, string>>} [toolScopes]  one more scope, for one tool
 * @property {boolean} [dpop]  accepts tokens that are bound to a key, with a proof, and no others
 */

/** @typedef {'whoami' | 'add'} ToolName */

/**
 * What the two flavours are built from.
 *
 * @typedef {object} McpServerParts
 * @property {URL} url
 * @property {oauth.AuthorizationServer} authorizationServer
 * @property {import('./access-tokens.js').AccessTokenVerifier} tokens
 * @property {string[] | undefined} scopesSupported
 * @property {string[]} requiredScopes
 * @property {Partial<Record<ToolName, string>>} toolScopes
 * @property {(tool: ToolName) => void} onToolCall
 */

/**
 * @typedef {object} TestMcpServer
 * @property {string} url  the MCP endpoint, which is also the resource identifier (RFC 8707)
 * @property {string} resourceMetadataUrl
 * @property {import('./loopback.js').RecordedRequest[]} requests
 * @property {{ readonly discovery: number, readonly unauthorized: number, readonly forbidden: number, readonly toolCalls: number }} counters
 * @property {import('./dpop-resource.js').DpopResource} dpop  with the option `dpop`, what verifies the proofs
 * @property {(token: string) => void} revoke  answers 401 to this token from now on
 * @property {() => void} revokeAll  answers 401 to every token accepted so far
 * @property {() => void} forget  empties the log and sets the counters to 0
 * @property {() => Promise<void>} close
 */

/**
 * Starts an MCP server, as an OAuth protected resource (RFC 9728), with two tools: `whoami` tells
 * the client its id, `add` adds `a` and `b`. It is stateless: any number of clients, no sessions.
 *
 * @param {McpServerOptions} options
 * @returns {Promise<TestMcpServer>}
 */
export async function startMcpServer(options) {
  const { sdk = 'v2', path = '/mcp', requiredScopes = [], toolScopes = {} } = options
  const authorizationServer = await discover(options.issuer)

  /** @type {import('node:http').RequestListener} */
  let answer
  const server = await listenOnLoopback((request, response) => {
    if (options.dpop !== true || request.url !== url.pathname) return answer(request, response)
    void proved(request, response)
  })
  const url = new URL(path, server.origin)
  const tokens = accessTokenVerifier({
    issuer: options.issuer,
    jwksUri: authorizationServer.jwks_uri ?? '',
    audience: url.href,
  })
  const dpop = dpopResource({
    issuer: options.issuer,
    jwksUri: authorizationServer.jwks_uri ?? '',
    audience: () => url.href,
    metadataUrl: () => `${server.origin}${metadataPath}`,
  })

  /**
   * Verifies the proof of a request, and passes it on as one with a bearer token.
   *
   * @type {(...parameters: Parameters<import('node:http').RequestListener>) => Promise<void>}
   */
  async function proved(request, response) {
    const { method = '', headers, rawHeaders } = request
    const given = new Headers(/** @type {Record<string, string>} */ (headers))
    const { status, headers: added } = await dpop.answer({ method, url: url.href, headers: given })
    for (const [name, value] of added) if (name !== 'content-type') response.setHeader(name, value)
    if (status !== 200) {
      response.writeHead(status).end()
      return
    }
    const bearer = headers.authorization?.replace(/^DPoP /i, 'Bearer ') ?? ''
    headers.authorization = bearer
    const index = rawHeaders.findIndex((name) => name.toLowerCase() === 'authorization')
    rawHeaders[index + 1] = bearer
    answer(request, response)
  }

  let toolCalls = 0
  const { mcpListener } =
    sdk === 'v1' ? await import('./mcp-server-v1.js') : await import('./mcp-server-v2.js')
  answer = mcpListener({
    url,
    authorizationServer,
    tokens,
    scopesSupported: options.scopesSupported,
    requiredScopes,
    toolScopes,
    onToolCall: () => {
      toolCalls += 1
    },
  })

  const metadataPath = `/.well-known/oauth-protected-resource${url.pathname.replace(/\/$/, '')}`
  /** @param {(request: import('./loopback.js').RecordedRequest) => boolean} matches */
  const count = (matches) => server.requests.filter(matches).length
  return {
    url: url.href,
    resourceMetadataUrl: `${server.origin}${metadataPath}`,
    requests: server.requests,
    counters: {
      get discovery() {
        return count((request) => request.path.startsWith('/.well-known/'))
      },
      get unauthorized() {
        return count((request) => request.status === 401)
      },
      get forbidden() {
        return count((request) => request.status === 403)
      },
      get toolCalls() {
        return toolCalls
      },
    },
    dpop,
    revoke: tokens.revoke,
    revokeAll: tokens.revokeAll,
    forget() {
      server.requests.length = 0
      toolCalls = 0
    },
    close: server.close,
  }
}

/** @param {string} issuer */
async function discover(issuer) {
  const identifier = new URL(issuer)
  const response = await oauth.discoveryRequest(identifier, {
    algorithm: 'oauth2',
    [oauth.allowInsecureRequests]: true,
  })
  return oauth.processDiscoveryResponse(identifier, response)
}
