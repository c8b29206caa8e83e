import type { RequestListener } from 'node:http'
import { discoverAuthorizationServer } from '@countersign/oauth'
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
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { proofAlgorithms, proofVerifier } from './dpop-proof.ts'
import { listenOnLoopback } from './loopback.ts'

/** Options of {@link startMcpServer}. */
export interface McpServerOptions {
  /** Issuer identifier of the authorization server whose tokens are accepted; it must be running. */
  readonly issuer: string
  /** The scope value that every request needs; `tools` by default. */
  readonly scope?: string | undefined
  /** Accepts only tokens that are bound to a key, with a DPoP proof (RFC 9449); `false` by default. */
  readonly dpop?: boolean | undefined
}

/** A running MCP server. */
export interface DemoMcpServer extends AsyncDisposable {
  /** The MCP endpoint, which is also the resource identifier (RFC 8707). */
  readonly url: string
  /** The scope value that every request needs. */
  readonly scope: string
  /** Closes all connections and frees the port. */
  close(): Promise<void>
}

interface ResourceSettings {
  readonly url: URL
  readonly issuer: string
  readonly scope: string
  readonly dpop: boolean
}

type Keys = ReturnType<typeof createRemoteJWKSet>

/**
 * Starts an MCP server on a free port of 127.0.0.1, as a protected resource that accepts JWT access tokens (RFC 9068)
 * of one authorization server.
 *
 * It has one tool, `whoami`, which answers with the client ID of the access token.
 *
 * @param options - whose tokens it accepts.
 * @returns the running server; close it, or declare it by `await using`.
 * @throws `OAuthError` when the metadata of the authorization server cannot be read.
 *
 * @example
 * ```ts
 * import { startMcpServer } from '@countersign/demo'
 *
 * await using server = await startMcpServer({ issuer: 'https://as.example.com' })
 * console.log(server.url)
 * ```
 *
 * @see [RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)
 */
export async function startMcpServer({
  issuer,
  scope = 'tools',
  dpop = false,
}: McpServerOptions): Promise<DemoMcpServer> {
  const { jwks_uri: jwksUri = '' } = await discoverAuthorizationServer(issuer)
  const keys = createRemoteJWKSet(new URL(jwksUri))
  let listener: RequestListener | undefined
  const { origin, close } = await listenOnLoopback((request, response) =>
    listener?.(request, response),
  )
  const url = new URL('/mcp', origin)
  const handle = toNodeHandler({ fetch: requestHandler({ url, issuer, scope, dpop }, keys) })
  listener = (request, response) => void handle(request as NodeIncomingMessageLike, response)
  return { url: url.href, scope, close, [Symbol.asyncDispose]: close }
}

function requestHandler(
  { url, issuer, scope, dpop }: ResourceSettings,
  keys: Keys,
): (request: Request) => Promise<Response> {
  const metadata = {
    // The SDK reads only the issuer of it.
    oauthMetadata: { issuer } as OAuthMetadata,
    resourceServerUrl: url,
    scopesSupported: [scope],
  }
  const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(url)
  const authenticate = requireBearerAuth({
    verifier: { verifyAccessToken: (token) => verifyAccessToken(token, keys, issuer, url) },
    requiredScopes: [scope],
    resourceMetadataUrl,
  })
  const verifyProof = proofVerifier(url)

  const refuse = (error: string) => {
    const parameters = [
      error,
      `resource_metadata="${resourceMetadataUrl}"`,
      `algs="${proofAlgorithms.join(' ')}"`,
    ]
    const challenge = `DPoP ${parameters.filter(Boolean).join(', ')}`
    return new Response(null, { status: 401, headers: { 'www-authenticate': challenge } })
  }

  /** Verifies the proof of a request, then its token, and that the token is bound to the key of the proof. */
  async function authenticateBound(request: Request): ReturnType<typeof authenticate> {
    if (!/^DPoP /i.test(request.headers.get('authorization') ?? '')) return refuse('')
    const proved = await verifyProof(request).catch(() => undefined)
    if (proved === undefined) return refuse('error="invalid_dpop_proof"')
    const headers = { authorization: `Bearer ${proved.token}` }
    const authInfo = await authenticate(new Request(request.url, { headers }))
    if (authInfo instanceof Response || authInfo.extra?.['jkt'] === proved.jkt) return authInfo
    return refuse('error="invalid_token"')
  }

  const mcp = createMcpHandler(mcpServer)
  return async (request) => {
    const refused = hostHeaderValidationResponse(request, localhostAllowedHostnames())
    const published = refused ?? oauthMetadataResponse(request, metadata)
    if (published !== undefined) return published
    if (new URL(request.url).pathname !== url.pathname) return new Response(null, { status: 404 })
    const authInfo = await (dpop ? authenticateBound : authenticate)(request)
    return authInfo instanceof Response ? authInfo : mcp.fetch(request, { authInfo })
  }
}

/** Verifies a JWT access token, RFC 9068 §4. */
async function verifyAccessToken(token: string, keys: Keys, issuer: string, url: URL) {
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
      extra: { jkt: (payload['cnf'] as { readonly jkt?: unknown } | undefined)?.jkt },
    }
  } catch (error) {
    throw new OAuthError(OAuthErrorCode.InvalidToken, (error as Error).message)
  }
}

function mcpServer(): McpServer {
  const server = new McpServer({ name: 'countersign-demo', version: '1.0.0' })
  server.registerTool(
    'whoami',
    { description: 'Returns the client ID that the access token was issued to' },
    (context) => ({
      content: [{ type: 'text', text: context.http?.authInfo?.clientId ?? 'unknown' }],
    }),
  )
  return server
}
