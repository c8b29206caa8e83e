import type { RequestListener } from 'node:http'
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node'
import {
  createMcpHandler,
  getOAuthProtectedResourceMetadataUrl,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  McpServer,
  OAuthError,
  OAuthErrorCode,
  type OAuthMetadata,
  oauthMetadataResponse,
  requireBearerAuth,
} from '@modelcontextprotocol/server'
import { createLocalJWKSet, type JWK, jwtVerify } from 'jose'
import { listenOnLoopback } from './listen.ts'

/** Whose tokens an MCP server takes, and with which scope. */
export interface TrustedIssuer {
  readonly issuer: string
  readonly publicJwk: JWK
  readonly scope: string
}

/** An MCP server that takes tokens of one authorization server. */
export interface DemoMcpServer {
  /** The MCP endpoint, which is also the resource identifier, RFC 8707. */
  readonly url: string
  close(): Promise<void>
}

/** Starts an MCP server on loopback, as a protected resource (RFC 9728) with one tool, `whoami`. */
export async function startMcpServer(trusted: TrustedIssuer): Promise<DemoMcpServer> {
  let answer: RequestListener | undefined
  const { origin, close } = await listenOnLoopback((request, response) =>
    answer?.(request, response),
  )
  const url = new URL('/mcp', origin)
  const handle = toNodeHandler({ fetch: requestHandler(url, trusted) })
  answer = (request, response) => void handle(request as NodeIncomingMessageLike, response)
  return { url: url.href, close }
}

function requestHandler(
  url: URL,
  { issuer, publicJwk, scope }: TrustedIssuer,
): (request: Request) => Promise<Response> {
  const keys = createLocalJWKSet({ keys: [publicJwk] })
  const metadata = {
    // All that the resource's own metadata takes from it is the issuer.
    oauthMetadata: { issuer } as OAuthMetadata,
    resourceServerUrl: url,
    scopesSupported: [scope],
  }
  const authenticate = requireBearerAuth({
    verifier: { verifyAccessToken: (token) => verifyAccessToken(token, keys, issuer, url) },
    requiredScopes: [scope],
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url),
  })
  const mcp = createMcpHandler(mcpServer)
  return async (request) => {
    const refused = hostHeaderValidationResponse(request, localhostAllowedHostnames())
    const published = refused ?? oauthMetadataResponse(request, metadata)
    if (published !== undefined) return published
    if (new URL(request.url).pathname !== url.pathname) return new Response(null, { status: 404 })
    const authInfo = await authenticate(request)
    return authInfo instanceof Response ? authInfo : mcp.fetch(request, { authInfo })
  }
}

/** Verifies a JWT access token, RFC 9068. */
async function verifyAccessToken(
  token: string,
  keys: ReturnType<typeof createLocalJWKSet>,
  issuer: string,
  url: URL,
) {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience: url.href,
      typ: 'at+jwt',
      requiredClaims: ['exp', 'client_id'],
    })
    return {
      token,
      clientId: String(payload['client_id']),
      scopes: String(payload['scope'] ?? '').split(' '),
      expiresAt: Number(payload.exp),
    }
  } catch (error) {
    throw new OAuthError(OAuthErrorCode.InvalidToken, (error as Error).message)
  }
}

function mcpServer(): McpServer {
  const server = new McpServer({ name: 'countersign-demo', version: '1.0.0' })
  server.registerTool(
    'whoami',
    { description: 'Who the access token says is calling' },
    (context) => ({
      content: [{ type: 'text', text: context.http?.authInfo?.clientId ?? 'nobody' }],
    }),
  )
  return server
}
