import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'
import { errorResponse, tokenResponse } from '../servers/token-responses.js'
import { connect, type McpClient, provide, ways } from './clients.ts'
import { closing, silenceWarnings } from './closing.ts'
import { answerAsMcp, bearer } from './scripted-mcp.ts'
import { newSigner } from './servers.ts'

describe.each(ways)('an MCP server from before RFC 9728, on SDK $major through $way', (way) => {
  /** Starts an MCP server that is its own authorization server and has no resource metadata. */
  async function startServer(token: () => Response, issuer?: string): Promise<ScriptedServer> {
    const server: ScriptedServer = closing(
      await startScriptedServer((request) => {
        const { url } = server
        if (request.path === '/token') return token()
        if (request.path === '/.well-known/oauth-authorization-server') {
          return Response.json({
            issuer: issuer ?? url,
            authorization_endpoint: `${url}/authorize`,
            token_endpoint: `${url}/token`,
            response_types_supported: ['code'],
            token_endpoint_auth_methods_supported: ['private_key_jwt'],
          })
        }
        if (request.path !== '/mcp') return new Response(null, { status: 404 })
        if (bearer(request) === undefined) return new Response(null, { status: 401 })
        return answerAsMcp(request)
      }),
    )
    return server
  }

  async function connectTo({ url }: ScriptedServer, issuer?: string): Promise<McpClient> {
    const { connection } = provide(way, `${url}/mcp`, {
      clientId: 'agent',
      authentication: privateKeyJwt(await newSigner()),
      issuer,
    })
    return closing(await connect(way.major, `${url}/mcp`, connection))
  }

  it.each([
    ['without a pin', false],
    ['with a pin', true],
  ])('is its own authorization server at the root of its origin, %s', async (_how, pinned) => {
    const server = await startServer(() => tokenResponse())
    const client = await connectTo(server, pinned ? server.url : undefined)
    expect(await client.call('any')).toBe('ok')
    const asked = server.requests.filter(({ path }) => path === '/token')
    expect(asked.map(({ form }) => form.get('resource'))).toEqual([`${server.url}/mcp`])
  })

  it('gets no assertion when its root names another issuer, and the error says to pin one', async () => {
    const server = await startServer(() => tokenResponse(), 'https://idp.example')
    const error: unknown = await connectTo(server).catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'ERR_OAUTH_ISSUER_MISMATCH',
      message: expect.stringMatching(/https:\/\/idp\.example.+with the option "issuer"$/),
    })
    expect(server.credentials).toEqual([])
  })

  it('refuses a client with its own error, and its token endpoint is not treated as a resource', async () => {
    silenceWarnings()
    const server = await startServer(() =>
      errorResponse('invalid_client', { status: 401, description: 'who are you?' }),
    )
    await expect(connectTo(server)).rejects.toThrow('who are you?')
    expect(server.credentials).toHaveLength(1)
    const paths = server.requests.map(({ path }) => path)
    expect(paths).not.toContain('/.well-known/oauth-protected-resource/token')
  })
})
