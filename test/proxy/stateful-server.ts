import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import {
  type EventStore,
  StreamableHTTPServerTransport,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'
import type { Fixtures } from '../cli/fixtures.ts'
import { type AccessTokenVerifier, accessTokenVerifier } from '../servers/access-tokens.js'
import { PAIR_SCOPE } from '../servers/pair.js'

/** An MCP server with sessions that a test can stop, restart, and make forget. */
export interface StatefulServer extends AsyncDisposable {
  readonly url: string
  /** The values with which the tool `count` was called. */
  readonly counted: readonly number[]
  /** How many sessions were initialized. */
  readonly sessions: number
  readonly tokens: AccessTokenVerifier
  /** Lets the calls of the tool `wait` return. */
  release(): void
  forget(): void
  /** Destroys every connection. */
  cut(): void
  stop(): Promise<void>
  start(): Promise<void>
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  if (request.method !== 'POST') return undefined
  return JSON.parse(await text(request))
}

/** Keeps the events of a session in memory, so that a stream can be resumed. */
function eventStore(): EventStore {
  const events: { readonly stream: string; readonly message: JSONRPCMessage }[] = []
  return {
    async storeEvent(stream, message) {
      return String(events.push({ stream, message }))
    },
    async replayEventsAfter(last, { send }) {
      const { stream = '' } = events[Number(last) - 1] ?? {}
      for (const [at, event] of events.entries()) {
        if (at >= Number(last) && event.stream === stream) await send(String(at + 1), event.message)
      }
      return stream
    },
  }
}

/** Starts a {@link StatefulServer} on SDK v1, which accepts the tokens of the fixtures' authorization server. */
export async function startStateful(
  { servers }: Fixtures,
  { resumable = false }: { readonly resumable?: boolean } = {},
): Promise<StatefulServer> {
  const counted: number[] = []
  const transports = new Map<string, StreamableHTTPServerTransport>()
  let sessions = 0
  let released: (() => void)[] = []
  let server: Server
  let port = 0
  let tokens: AccessTokenVerifier

  function mcpServer(): McpServer {
    const mcp = new McpServer({ name: 'stateful', version: '1.0.0' })
    const result = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })
    mcp.registerTool('count', { inputSchema: { value: z.number() } }, ({ value }) => {
      counted.push(value)
      return result(String(value))
    })
    mcp.registerTool('wait', { inputSchema: { value: z.number() } }, async ({ value }) => {
      counted.push(value)
      await new Promise<void>((resolve) => released.push(resolve))
      return result(String(value))
    })
    mcp.registerTool(
      'echo',
      { inputSchema: { text: z.string() }, annotations: { readOnlyHint: true } },
      (args) => result(args.text),
    )
    mcp.registerTool('ask', {}, async () => {
      const { roots } = await mcp.server.listRoots()
      return result(roots.map(({ uri }) => uri).join())
    })
    return mcp
  }

  async function session(
    request: IncomingMessage,
  ): Promise<StreamableHTTPServerTransport | undefined> {
    const id = request.headers['mcp-session-id']
    if (typeof id === 'string') return transports.get(id)
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      ...(resumable ? { eventStore: eventStore() } : {}),
      onsessioninitialized: (made) => {
        sessions++
        transports.set(made, transport)
      },
    })
    await mcpServer().connect(transport as Parameters<McpServer['connect']>[0])
    return transport
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const origin = `http://127.0.0.1:${port}`
    if (request.url?.startsWith('/.well-known/oauth-protected-resource')) {
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({
          resource: `${origin}/mcp`,
          authorization_servers: [servers.authorizationServer.issuer],
          scopes_supported: [PAIR_SCOPE],
        }),
      )
      return
    }
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
    const isAccepted = await tokens.verify(token).then(
      () => true,
      () => false,
    )
    if (!isAccepted) {
      const metadata = `${origin}/.well-known/oauth-protected-resource/mcp`
      response.setHeader('www-authenticate', `Bearer resource_metadata="${metadata}"`)
      response.writeHead(401).end()
      return
    }
    const transport = await session(request)
    if (transport === undefined) response.writeHead(404).end('Session not found')
    // The transport's own reader refuses more than 4 MB.
    else await transport.handleRequest(request, response, await bodyOf(request))
  }

  async function start(): Promise<void> {
    server = createServer((request, response) => void answer(request, response))
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  }

  async function stop(): Promise<void> {
    transports.clear()
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeAllConnections()
    await closed
  }

  await start()
  const url = `http://127.0.0.1:${port}/mcp`
  servers.authorizationServer.registerResource(url, [PAIR_SCOPE])
  tokens = accessTokenVerifier({
    issuer: servers.authorizationServer.issuer,
    jwksUri: servers.authorizationServer.metadata.jwks_uri,
    audience: url,
  })
  return {
    ...{ url, counted, tokens, start, stop },
    get sessions() {
      return sessions
    },
    release() {
      for (const resolve of released) resolve()
      released = []
    },
    forget: () => transports.clear(),
    cut: () => server.closeAllConnections(),
    [Symbol.asyncDispose]: stop,
  }
}
