import { randomUUID } from 'node:crypto'
import { type Exchange, post, readMessages } from './exchange.ts'
import { versionOf } from './headers.ts'
import { type Message, readEnvelope } from './message.ts'
import type { ToolList } from './tool-list.ts'
import { UpstreamError } from './upstream.ts'

const mostPages = 1000

/**
 * Asks the server for its tools, page by page, with requests of the proxy's own.
 *
 * @param like - a request of the host, whose protocol version is used.
 * @param forward - takes the messages that are not answers, such as notifications.
 * @throws {@link UpstreamError} `not sent`, about the request of the host.
 */
export async function readToolList(
  exchange: Exchange & { readonly tools: ToolList },
  like: Message | undefined,
  forward: (text: string) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  exchange.tools.isComplete = true
  try {
    let cursor: unknown
    for (let page = 0; page < mostPages; page++) {
      const result = await request(exchange, { cursor, _meta: metaOf(like) }, forward, signal)
      exchange.tools.add(result)
      cursor = result.nextCursor
      if (typeof cursor !== 'string') return
    }
    throw new UpstreamError('not sent', `The list of tools has more than ${mostPages} pages`)
  } catch (error) {
    exchange.tools.isComplete = false
    signal.throwIfAborted()
    if (!(error instanceof UpstreamError)) throw error
    throw new UpstreamError('not sent', `The tools cannot be listed: ${error.message}`, error.cause)
  }
}

interface Page {
  readonly tools?: unknown
  readonly nextCursor?: unknown
}

async function request(
  exchange: Exchange,
  params: object,
  forward: (text: string) => Promise<void>,
  signal: AbortSignal,
): Promise<Page> {
  const id = `countersign-${randomUUID()}`
  const text = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list', params })
  const posted = await post(exchange, readEnvelope(text), signal)
  if (posted.refusal !== undefined) {
    throw new UpstreamError('refused', `HTTP status ${posted.response.status}`)
  }
  for await (const message of readMessages(exchange, posted, () => false, signal)) {
    const [answer] = readEnvelope(message).messages
    if (answer?.kind !== 'response' || answer.id !== id) await forward(message)
    else if (answer.error === undefined) return (answer.result ?? {}) as Page
    else throw new UpstreamError('refused', 'the server answered with an error')
  }
  throw new UpstreamError('unknown', 'the server ended its response without an answer')
}

/** The members of `_meta` that protocol version 2026-07-28 wants in each request. */
function metaOf(message: Message | undefined): object | undefined {
  if (message?.kind !== 'request' || versionOf(message) === undefined) return undefined
  const { progressToken: _, ...meta } = message.params._meta ?? {}
  return meta
}
