import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'
import { tokenResponse } from '../servers/token-responses.js'
import { authorize, connect, majors, provide, ways } from './clients.ts'
import { closing, silenceWarnings } from './closing.ts'
import { answerAsMcp, bearer } from './scripted-mcp.ts'
import { newSigner } from './servers.ts'

const mebibyte = 1024 * 1024
const enormous = 300 * mebibyte

/** An answer of 300 MiB, and how much of it was read. */
function enormousAnswer() {
  const read = { bytes: 0 }
  function* body() {
    yield '{"padding":"'
    const chunk = Buffer.alloc(64 * 1024, 'x')
    for (; read.bytes < enormous; read.bytes += chunk.length) yield chunk
    yield '"}'
  }
  function answer(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' })
    // Ends early when the client closes the connection.
    pipeline(body(), response).catch(() => {})
  }
  return { read, answer }
}

const documents = {
  'the metadata of the MCP server': 'oauth-protected-resource',
  'the metadata of the authorization server': 'oauth-authorization-server',
  'the answer of the token endpoint': '/token',
}

const flows = majors.flatMap((major) => [
  { major, way: 'OAuthClientProvider', flow: 'its own flow over provider.fetch as' } as const,
])
const cases = [...ways.map((way) => ({ ...way, flow: 'the transport and' })), ...flows]

describe.each(cases)('on SDK $major, through $flow $way', ({ flow, ...way }) => {
  it.each(Object.entries(documents))(
    '%s is read up to 1 MiB, however long it is',
    async (_what, path) => {
      silenceWarnings()
      const { read, answer } = enormousAnswer()
      const server: ScriptedServer = closing(
        await startScriptedServer((request) => {
          const { url } = server
          if (request.path.includes(path)) return answer
          if (request.path.includes('oauth-protected-resource')) {
            return Response.json({ resource: `${url}/mcp`, authorization_servers: [url] })
          }
          if (request.path.includes('oauth-authorization-server')) {
            return Response.json({
              issuer: url,
              authorization_endpoint: `${url}/authorize`,
              token_endpoint: `${url}/token`,
              response_types_supported: ['code'],
              token_endpoint_auth_methods_supported: ['private_key_jwt'],
            })
          }
          if (request.path === '/token') return tokenResponse()
          if (bearer(request) === undefined) return new Response(null, { status: 401 })
          return answerAsMcp(request)
        }),
      )
      const serverUrl = `${server.url}/mcp`
      const { provider, connection } = provide(way, serverUrl, {
        clientId: 'agent',
        authentication: privateKeyJwt(await newSigner()),
      })
      const before = process.memoryUsage().rss
      const attempt = flow.startsWith('its own flow')
        ? authorize(way.major, provider, { serverUrl, fetchFn: provider.fetch })
        : connect(way.major, serverUrl, connection)
      const error: unknown = await attempt.catch((error: unknown) => error)
      expect(error).toMatchObject({ message: expect.stringMatching(/larger than 1 MiB/) })
      expect(read.bytes).toBeGreaterThan(mebibyte)
      expect(read.bytes).toBeLessThan(32 * mebibyte)
      expect(process.memoryUsage().rss - before).toBeLessThan(100 * mebibyte)
    },
  )
})
