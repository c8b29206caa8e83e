import type { Calls } from './calls.ts'
import type { Explain } from './diagnosis.ts'
import { type Exchange, readUnsolicited } from './exchange.ts'
import type { LineWriter } from './lines.ts'
import {
  type Envelope,
  keyOf,
  type Message,
  MessageError,
  type MessageId,
  onOneLine,
  readEnvelope,
} from './message.ts'
import { openSession, postHeaders, protocolVersionOf } from './session.ts'
import type { ToolFilter } from './tool-filter.ts'
import type { ToolList } from './tool-list.ts'
import { type Upstream, UpstreamError } from './upstream.ts'

/** What a proxy for one host needs. */
export interface ForwardOptions {
  readonly upstream: Upstream
  readonly tools: ToolList
  /** Hides tools from the host. */
  readonly filter?: ToolFilter | undefined
  /** Describes an error in one line. */
  readonly describe: (error: unknown) => string
  /** Finds out why the first request of a host failed. */
  readonly explain?: Explain | undefined
  /** Tells the user something, in one line. */
  readonly notice: (line: string) => void
}

/** Options of {@link openServerMessages}. */
export interface ServerMessagesOptions extends ForwardOptions {
  readonly calls: Calls
  readonly output: LineWriter
  readonly signal: AbortSignal
}

/** A response, in JSON-RPC. */
export type ResponseMessage = Extract<Message, { readonly kind: 'response' }>

/** Forwards messages of the server to the host. */
export interface ServerMessages {
  readonly exchange: Exchange
  /**
   * Forwards a message, unless it answers a request that has its answer.
   *
   * @param response - of the request that the message belongs to.
   */
  deliver(text: string, response?: Response): Promise<void>
  /** Forwards what the server sends without being asked. */
  listen(): void
  /** Whether a response of the host answers a request of the session in use. */
  isCurrent(response: ResponseMessage): boolean
}

/** Requests that are repeated in a new session, and requests of the server that are remembered. */
const mostSubscriptions = 1000
const mostAsked = 10_000

/** Makes the {@link ServerMessages} of one host. */
export function openServerMessages(options: ServerMessagesOptions): ServerMessages {
  const { upstream, tools, filter, describe, notice, calls, output, signal } = options
  const session = openSession({ upstream, notice, signal, onRecovered: restore })
  const exchange: Exchange = { upstream, session, tools }
  /** Requests that change the session, such as subscriptions: a new session needs them again. */
  const changes = new Map<string, Envelope>()
  /** Requests of the server that the host has not answered, with the session that they belong to. */
  const asked = new Map<string, { readonly id: MessageId; readonly generation: number }>()
  let listening = new AbortController()

  async function deliver(text: string, response?: Response): Promise<void> {
    let envelope: Envelope
    try {
      envelope = readEnvelope(text)
    } catch (error) {
      if (!(error instanceof MessageError)) throw error
      notice(`A message of the MCP server was dropped: ${error.message}`)
      return
    }
    const { messages } = envelope
    const lists = messages.filter(isToolList)
    for (const { result } of lists) tools.add(result)
    const shown = filter !== undefined && lists.length > 0 ? filter.filterList(text) : text
    const wanted = messages.map((one) => isWanted(one, response))
    if (!wanted.includes(false)) await output.write(onOneLine(shown))
    else if (wanted.includes(true)) {
      const values = (JSON.parse(shown) as readonly unknown[]).filter((_one, at) => wanted[at])
      await output.write(JSON.stringify(values))
    } else if (response !== undefined) notice('A second answer to a request was dropped')
  }

  function isToolList(message: Message): message is ResponseMessage {
    if (message.kind !== 'response' || message.id === null) return false
    const request = calls.find(message.id)?.unanswered.get(keyOf(message.id))
    return request?.method === 'tools/list'
  }

  function isWanted(message: Message, response: Response | undefined): boolean {
    if (message.kind === 'notification') {
      if (message.method === 'notifications/tools/list_changed') tools.clear()
      return true
    }
    if (message.kind === 'request') {
      asked.set(keyOf(message.id), { id: message.id, generation: session.generation })
      const [oldest] = asked.keys()
      if (asked.size > mostAsked && oldest !== undefined) asked.delete(oldest)
      return true
    }
    const call = message.id === null ? undefined : calls.find(message.id)
    const request = message.id === null ? undefined : calls.answered(message.id)
    if (call === undefined || request === undefined) return false
    if (call.envelope.messages.length === 1) remember(call.envelope, message, response)
    return true
  }

  /** Keeps what a new session needs. */
  function remember(
    envelope: Envelope,
    { result, error }: ResponseMessage,
    response: Response | undefined,
  ): void {
    const [request] = envelope.messages
    if (error !== undefined || request?.kind !== 'request') return
    const { method, params } = request
    if (method === 'initialize') {
      const sessionId = response?.headers.get('mcp-session-id') ?? undefined
      session.start(envelope, { sessionId, protocolVersion: protocolVersionOf(result) })
    } else if (method === 'resources/unsubscribe') changes.delete(String(params.uri))
    else if (changes.size < mostSubscriptions) {
      if (method === 'resources/subscribe') changes.set(String(params.uri), envelope)
      if (method === 'logging/setLevel') changes.set(method, envelope)
    }
  }

  /** In a new session: repeats subscriptions, withdraws the requests of the old one, and opens the stream. */
  async function restore(): Promise<void> {
    tools.clear()
    for (const [key, { id, generation }] of asked) {
      if (generation === session.generation) continue
      asked.delete(key)
      const params = { requestId: id, reason: 'the server has lost the session' }
      await output.write(
        JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params }),
      )
    }
    for (const { text: body } of changes.values()) {
      const headers = { ...postHeaders, ...session.headers() }
      const response = await upstream.send({ method: 'POST', headers, body, signal })
      await response.body?.cancel()
    }
    listen()
  }

  function listen(): void {
    listening.abort()
    listening = new AbortController()
    const stop = AbortSignal.any([listening.signal, signal])
    const forward = async () => {
      for await (const text of readUnsolicited(exchange, stop)) await deliver(text)
    }
    forward().catch((error: unknown) => {
      if (!stop.aborted) notice(error instanceof UpstreamError ? error.message : describe(error))
    })
  }

  return {
    exchange,
    deliver,
    listen,
    isCurrent({ id }) {
      const key = keyOf(id ?? '')
      const request = asked.get(key)
      asked.delete(key)
      return request === undefined || request.generation === session.generation
    },
  }
}
