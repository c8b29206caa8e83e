// @ts-check
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter,
} from '@modelcontextprotocol/sdk/server/auth/router.js'
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { OAuthMetadataSchema } from '@modelcontextprotocol/sdk/shared/auth.js'
import { z } from 'zod'

/**
 * The MCP server on `@modelcontextprotocol/sdk`: an express app.
 *
 * @param {import('./mcp-server.js').McpServerParts} parts
 * @returns {import('node:http').RequestListener}
 */
export function mcpListener(parts) {
  const { url, tokens } = parts
  const app = createMcpExpressApp()
  app.use(
    mcpAuthMetadataRouter({
      oauthMetadata: OAuthMetadataSchema.parse(parts.authorizationServer),
      resourceServerUrl: url,
      ...(parts.scopesSupported && { scopesSupported: parts.scopesSupported }),
    }),
  )

  const verifier = {
    verifyAccessToken: (/** @type {string} */ token) =>
      tokens.verify(token).catch((/** @type {Error} */ error) => {
        throw new InvalidTokenError(error.message)
      }),
  }
  app.all(url.pathname, (request, response, next) => {
    const authenticate = requireBearerAuth({
      verifier,
      requiredScopes: [...parts.requiredScopes, ...scopesOfTool(request.body, parts.toolScopes)],
      resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url),
    })
    return authenticate(request, response, next)
  })

  app.post(url.pathname, async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
    const server = mcpServer(parts)
    response.once('close', () => void server.close())
    await server.connect(transport)
    await transport.handleRequest(request, response, request.body)
  })
  // Without sessions there is no stream to open and none to delete.
  app.all(url.pathname, (_request, response) => void response.status(405).end())
  return app
}

/** @param {import('./mcp-server.js').McpServerParts} parts */
function mcpServer({ onToolCall }) {
  const server = new McpServer({ name: 'countersign-test-v1', version: '1.0.0' })
  server.registerTool(
    'whoami',
    { description: 'Who the access token says is calling' },
    (extra) => {
      onToolCall('whoami')
      return text(extra.authInfo?.clientId ?? 'nobody')
    },
  )
  server.registerTool(
    'add',
    { description: 'Adds two numbers', inputSchema: { a: z.number(), b: z.number() } },
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

/**
 * @param {{ method?: unknown, params?: { name?: unknown } } | undefined} message  JSON-RPC
 * @param {Partial<Record<string, string>>} toolScopes
 */
function scopesOfTool(message, toolScopes) {
  const scope = message?.method === 'tools/call' && toolScopes[String(message.params?.name)]
  return scope ? [scope] : []
}
