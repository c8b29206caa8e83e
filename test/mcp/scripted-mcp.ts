import type { Answer, ScriptedRequest } from '../servers/scripted-server.js'

interface Message {
  readonly id?: number | string
  readonly method?: string
  readonly params?: { readonly protocolVersion?: string }
}

/** The answer of an MCP server without sessions to an authorized request. The result of every tool is `ok`. */
export function answerAsMcp({ method, body }: ScriptedRequest): Answer {
  if (method !== 'POST') return new Response(null, { status: 405 })
  const { id, method: called, params }: Message = JSON.parse(body)
  if (id === undefined) return new Response(null, { status: 202 })
  const results: Readonly<Record<string, unknown>> = {
    initialize: {
      protocolVersion: params?.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: 'scripted', version: '1.0.0' },
    },
    'tools/list': { tools: [] },
    'tools/call': { content: [{ type: 'text', text: 'ok' }] },
  }
  const result = results[called ?? '']
  if (result !== undefined) return Response.json({ jsonrpc: '2.0', id, result })
  return Response.json({ jsonrpc: '2.0', id, error: { code: -32601, message: 'unknown' } })
}

/** The token that a request carries. */
export function bearer({ headers }: ScriptedRequest): string | undefined {
  return /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
}
