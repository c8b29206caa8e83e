// @ts-check
import { toNodeHandler } from '@modelcontextprotocol/node'
import {
  createMcpHandler,
  getOAuthProtectedResourceMetadataUrl,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  McpServer,
  OAuthError,
  OAuthErrorCode,
  oauthMetadataResponse,
  requireBearerAuth,
  requireScopes,
} from '@modelcontextprotocol/server'
import { z } from 'zod'

/**
 * The MCP server on `@modelcontextprotocol/server`: a `fetch` handler, mounted on Node.
 *
 * @param {import('./mcp-server.js').McpServerParts} parts
 * @returns {import('node:http').RequestListener}
 */
export function mcpListener(parts) {
  const { url, tokens } = parts
  const metadata = {
    oauthMetadata: /** @type {import('@modelcontextprotocol/server').OAuthMetadata} */ (
      parts.authorizationServer
    ),
    resourceServerUrl: url,
    ...(parts.scopesSupported && { scopesSupported: parts.scopesSupported }),
  }
  const authenticate = requireBearerAuth({
    verifier: {
      verifyAccessToken: (token) =>
        tokens.verify(token).catch((/** @type {Error} */ error) => {
          throw new OAuthError(OAuthErrorCode.InvalidToken, error.message)
        }),
    },
    requiredScopes: parts.requiredScopes,
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url),
  })
  const mcp = createMcpHandler(() => mcpServer(parts))

  const handle = toNodeHandler({
    async fetch(request) {
      const refused = hostHeaderValidationResponse(request, localhostAllowedHostnames())
      const published = refused ?? oauthMetadataResponse(request, metadata)
      if (published !== undefined) return published
      if (new URL(request.url).pathname !== url.pathname) return new Response(null, { status: 404 })
      const authInfo = await authenticate(request)
      return authInfo instanceof Response ? authInfo : mcp.fetch(request, { authInfo })
    },
  })
  return (request, response) =>
    void handle(
      /** @type {import('@modelcontextprotocol/node').NodeIncomingMessageLike} */ (request),
      response,
    )
}

/** @param {import('./mcp-server.js').McpServerParts} parts */
function mcpServer({ onToolCall, requiredScopes, toolScopes }) {
  const server = new McpServer({ name: 'countersign-test-v2', version: '1.0.0' })
  /** @param {import('./mcp-server.js').ToolName} tool */
  const challenge = (tool) => {
    const scope = toolScopes[tool]
    return scope === undefined ? {} : { scopeChallenge: requireScopes(scope, ...requiredScopes) }
  }
  server.registerTool(
    'whoami',
    { description: 'Who the access token says is calling', ...challenge('whoami') },
    (context) => {
      onToolCall('whoami')
      return text(context.http?.authInfo?.clientId ?? 'nobody')
    },
  )
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers',
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      ...challenge('add'),
    },
    ({ a, b }) => {
      onToolCall('add')
      return text(String(a + b))
    },
  )
  return server
}

/** @param {string} value */
function text(value) {
  return { content: [{ type: /** @type {const} */ ('text'), text: value }] }
}
