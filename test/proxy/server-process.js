// @ts-check
// An MCP server on SDK v1 in a process of its own: `node server-process.js PORT`. It prints what it does, line by line.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import {
  CallToolRequestSchema,
  ListToolsRequestSchema,
  SubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'

/** @param {string} line */
const print = (line) => void process.stdout.write(`${line}\n`)

/** @type {Map<string, StreamableHTTPServerTransport>} */
const transports = new Map()

/** Pages of `tools/list`, by their cursor. */
const pages = /** @type {Record<string, { names: string[], nextCursor?: string }>} */ ({
  first: { names: ['count', 'wait', 'sample'], nextCursor: 'second' },
  second: { names: ['elicit', 'progress', 'log', 'cut'], nextCursor: 'third' },
  third: { names: ['look'] },
})

/** @returns {import('@modelcontextprotocol/sdk/server/streamableHttp.js').EventStore} */
function eventStore() {
  /** @type {{ stream: string, message: import('@modelcontextprotocol/sdk/types.js').JSONRPCMessage }[]} */
  const events = []
  return {
    storeEvent: async (stream, message) => String(events.push({ stream, message })),
    async replayEventsAfter(last, { send }) {
      const { stream = '' } = events[Number(last) - 1] ?? {}
      for (const [at, event] of events.entries()) {
        if (at >= Number(last) && event.stream === stream) await send(String(at + 1), event.message)
      }
      return stream
    },
  }
}

function mcpServer() {
  const server = new Server(
    { name: 'server-process', version: '1.0.0' },
    { capabilities: { tools: {}, resources: { subscribe: true }, logging: {} } },
  )
  server.setRequestHandler(ListToolsRequestSchema, ({ params }) => {
    print(`list ${params?.cursor ?? 'first'}`)
    const { names = [], nextCursor } = pages[params?.cursor ?? 'first'] ?? {}
    const tools = names.map((name) => ({
      name,
      inputSchema: { type: /** @type {const} */ ('object') },
      annotations: { readOnlyHint: name === 'look' },
    }))
    return { tools, ...(nextCursor === undefined ? {} : { nextCursor }) }
  })
  server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    print(`subscribe ${params.uri}`)
    return {}
  })
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const { value } = params.arguments ?? {}
    print(`${params.name} ${value}`)
    /** @param {unknown} text */
    const result = (text) => ({ content: [{ type: 'text', text: String(text) }] })
    const related = { relatedRequestId: extra.requestId }
    if (params.name === 'wait') await new Promise(() => {})
    if (params.name === 'sample') {
      const messages = [{ role: 'user', content: { type: 'text', text: String(value) } }]
      const { content } = await server.createMessage(
        // @ts-expect-error the literals are wider than the types of the SDK
        { messages, maxTokens: 10 },
        related,
      )
      return result('text' in content ? content.text : '')
    }
    if (params.name === 'elicit') {
      const requestedSchema = {
        type: /** @type {const} */ ('object'),
        properties: { colour: { type: /** @type {const} */ ('string') } },
      }
      const { content } = await server.elicitInput(
        { message: 'Which one?', requestedSchema },
        related,
      )
      return result(content?.['colour'])
    }
    if (params.name === 'progress') {
      const progressToken = params._meta?.progressToken ?? ''
      for (const progress of [1, 2, 3]) {
        await extra.sendNotification({
          method: 'notifications/progress',
          params: { progressToken, progress, total: 3 },
        })
      }
    }
    if (params.name === 'flood') {
      const filler = 'x'.repeat(1_000_000)
      for (let at = 0; at < Number(value); at++) {
        const message = { level: /** @type {const} */ ('error'), data: { at, filler } }
        await extra.sendNotification({ method: 'notifications/message', params: message })
      }
    }
    if (params.name === 'log') await server.sendLoggingMessage({ level: 'error', data: value })
    if (params.name === 'cut') {
      // After the answer: the connection of the stream is destroyed, and the next message has no stream.
      setTimeout(async () => {
        http.closeAllConnections()
        await server.sendLoggingMessage({ level: 'error', data: value })
      }, 100)
    }
    return result(value)
  })
  return server
}

const http = createServer(async (request, response) => {
  const id = request.headers['mcp-session-id']
  let transport = typeof id === 'string' ? transports.get(id) : undefined
  if (transport === undefined && id !== undefined) {
    response.writeHead(404).end('Session not found')
    return
  }
  if (transport === undefined) {
    const opened = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      eventStore: eventStore(),
      retryInterval: 200,
      onsessioninitialized: (made) => void transports.set(made, opened),
    })
    await mcpServer().connect(
      /** @type {import('@modelcontextprotocol/sdk/shared/transport.js').Transport} */ (opened),
    )
    transport = opened
  }
  await transport.handleRequest(request, response)
})
http.listen(Number(process.argv[2]), '127.0.0.1', () => {
  const address = http.address()
  print(`port ${typeof address === 'object' ? address?.port : ''}`)
})
