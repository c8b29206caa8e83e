import type { Readable, Writable } from 'node:stream'
import { addAbortSignal } from 'node:stream'
import { onAbort, sanitize } from '@countersign/core/backend'
import { openBudget } from './budget.ts'
import { type Call, fateSentences, type HostRequest, openCalls } from './calls.ts'
import { type Exchange, type Posted, post, readMessages, readUnsolicited } from './exchange.ts'
import { versionOf } from './headers.ts'
import { type LineWriter, lineWriter, readLines } from './lines.ts'
import {
  type Envelope,
  errorCodes,
  errorResponse,
  keyOf,
  longestMessage,
  type Message,
  MessageError,
  type MessageId,
  onOneLine,
  readEnvelope,
} from './message.ts'
import { openSession, postHeaders, protocolVersionOf, type Session } from './session.ts'
import type { ToolFilter } from './tool-filter.ts'
import { type Fate, type Upstream, UpstreamError } from './upstream.ts'

/** Options of {@link serveStdio}. */
export interface StdioOptions {
  readonly upstream: Upstream
  readonly input: Readable
  readonly output: Writable
  /** How long requests under way may take after the host has closed its end. */
  readonly graceSeconds: number
  /** Hides tools from the host. */
  readonly filter?: ToolFilter | undefined
  /** Ends the proxy. */
  readonly signal: AbortSignal
  /** Describes an error in one line. */
  readonly describe: (error: unknown) => string
  /** Tells the user something, in one line. */
  readonly notice: (line: string) => void
}

/**
 * Connects the host on the standard streams with the server, until the host closes its end or the signal aborts.
 * Messages are forwarded as they are. Each request of the host gets one answer: that of the server, or an error that says
 * whether the server has seen the request.
 */
export async function serveStdio(options: StdioOptions): Promise<void> {
  const bridge = new Bridge(options)
  const { input, graceSeconds, signal } = options
  try {
    for await (const line of readLines(addAbortSignal(bridge.stop.signal, input))) {
      await bridge.receive(line)
    }
    await bridge.finish(graceSeconds)
  } catch (error) {
    if (!bridge.stop.signal.aborted) throw error
  } finally {
    await bridge.close()
  }
  signal.throwIfAborted()
}

/** Octets of requests that are sent at once. A request counts some more for its connection. */
const mostUnderWay = 2 * longestMessage
const costOfRequest = 16_384

/** How long the proxy waits for the server to end the session. */
const endMs = 500

/** Requests that are repeated in a new session, and requests of the server that are remembered. */
const mostSubscriptions = 1000
const mostAsked = 10_000

class Bridge {
  readonly stop = new AbortController()
  readonly #options: StdioOptions
  readonly #calls = openCalls()
  readonly #budget = openBudget(mostUnderWay)
  readonly #output: LineWriter
  readonly #session: Session
  readonly #exchange: Exchange
  /** Requests that change the session, such as subscriptions: a new session needs them again. */
  readonly #changes = new Map<string, Envelope>()
  /** Requests of the server that the host has not answered, with the session that they belong to. */
  readonly #asked = new Map<string, { readonly id: MessageId; readonly generation: number }>()
  /** Messages wait for the start of the session, because they could overtake it. */
  #starting: Promise<unknown> = Promise.resolve()
  #notifying: Promise<unknown> = Promise.resolve()
  #listening = new AbortController()

  constructor(options: StdioOptions) {
    const { upstream, output, notice, signal } = options
    this.#options = options
    this.#output = lineWriter(output)
    this.#session = openSession({
      ...{ upstream, notice, signal: this.stop.signal },
      onRecovered: () => this.#repeatChanges(),
    })
    this.#exchange = { upstream, session: this.#session }
    output.once('close', () => this.stop.abort(new Error('standard output was closed')))
    onAbort(signal, () => this.stop.abort(signal.reason))
    if (signal.aborted) this.stop.abort(signal.reason)
  }

  /** Takes a line of the host; `undefined` is one that was too long. Returns when the next one may be read. */
  async receive(line: string | undefined): Promise<void> {
    let envelope: Envelope
    try {
      if (line === undefined) {
        const message = `A message may have at most ${longestMessage} octets`
        throw new MessageError(errorCodes.invalidRequest, message)
      }
      envelope = readEnvelope(line)
    } catch (error) {
      if (!(error instanceof MessageError)) throw error
      await this.#output.write(errorResponse(null, error.code, error.message))
      return
    }
    const refused = this.#options.filter?.refuse(envelope.messages)
    if (refused !== undefined) {
      for (const answer of refused) await this.#output.write(answer)
      return
    }
    const release = await this.#budget.take(envelope.text.length + costOfRequest)
    const work = envelope.messages.some(({ kind }) => kind === 'request')
      ? this.#call(envelope, release)
      : this.#notify(envelope)
    work.finally(release).catch((error: unknown) => this.#options.notice(this.#explain(error)))
  }

  /** Waits for the requests under way. */
  async finish(seconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, seconds * 1000)
      onAbort(this.stop.signal, resolve)
    })
    await Promise.race([Promise.all([this.#calls.idle(), this.#notifying]), late])
    clearTimeout(timer)
  }

  async close(): Promise<void> {
    this.stop.abort(new Error('the proxy ends'))
    await this.#session.end(AbortSignal.timeout(endMs))
  }

  async #call(envelope: Envelope, release: () => void): Promise<void> {
    const call = this.#calls.add(envelope)
    if (call === undefined) {
      this.#options.notice('A request with the ID of one under way was dropped')
      return
    }
    const stopped = onAbort(this.stop.signal, () => call.controller.abort(this.stop.signal.reason))
    const starting = this.#starting
    const work = starting.then(() => this.#exchangeCall(call, release))
    if (isStart(envelope)) this.#starting = work.catch(() => {})
    try {
      await work
    } catch (error) {
      if (!call.isCancelled && !this.stop.signal.aborted) await this.#fail(call, error)
    } finally {
      stopped()
      this.#calls.remove(call)
    }
  }

  async #exchangeCall(call: Call, release: () => void): Promise<void> {
    const { envelope, controller } = call
    const { signal } = controller
    signal.throwIfAborted()
    if (call.isCancelled) return
    const posted = await post(this.#exchange, envelope, signal)
    release()
    const { response, refusal } = posted
    if (refusal !== undefined) return this.#refuse(call, posted)
    const isDone = () => call.unanswered.size === 0 || call.isCancelled
    for await (const text of readMessages(this.#exchange, posted, isDone, signal)) {
      await this.#deliver(text, call, response)
    }
    if (isDone()) return
    throw new UpstreamError('unknown', 'The MCP server ended its response without an answer')
  }

  /** Answers a call to which the server responded with an HTTP error: with the server's own JSON-RPC error, if any. */
  async #refuse(call: Call, { response, refusal = '' }: Posted): Promise<void> {
    const [only, another] = call.unanswered.values()
    const own = errorIn(refusal)
    if (own?.error !== undefined && only !== undefined && another === undefined) {
      const text =
        own.id === null
          ? JSON.stringify({ jsonrpc: '2.0', id: only.id, error: own.error })
          : refusal
      await this.#deliver(text, call, response)
      if (!this.#calls.has(call)) return
    }
    const { status } = response
    const fate = status < 500 ? 'refused' : 'unknown'
    const text = sanitize(refusal).trim()
    const said = text === '' || text.startsWith('<') ? '' : `: ${text}`
    const hint = status === 404 || status === 405 ? '; check its URL' : ''
    const found = `The MCP server answered with HTTP status ${status}${said}${hint}`
    throw new UpstreamError(fate, found)
  }

  async #fail(call: Call, error: unknown): Promise<void> {
    const fate: Fate = error instanceof UpstreamError ? error.fate : 'unknown'
    const { code } = ((error as Error).cause ?? {}) as { readonly code?: unknown }
    const message = `${this.#explain(error)}; ${fateSentences[fate]}`
    this.#options.notice(message)
    const answers = this.#calls.fail(call, {
      ...{ message, fate },
      code: typeof code === 'string' ? code : undefined,
    })
    for (const answer of answers) await this.#output.write(answer)
  }

  #explain(error: unknown): string {
    return error instanceof UpstreamError ? error.message : this.#options.describe(error)
  }

  /** Sends notifications in their order, and responses at once. */
  async #notify(envelope: Envelope): Promise<void> {
    const { signal } = this.stop
    const [first] = envelope.messages
    if (first?.kind === 'response') {
      if (!this.#isCurrent(first)) return
      await this.#starting
      await this.#post(envelope, signal)
      return
    }
    const cancelled =
      first?.method === 'notifications/cancelled' ? this.#find(first.params.requestId) : undefined
    if (cancelled !== undefined) cancelled.isCancelled = true
    // Since 2026-07-28, the end of the response stream cancels the request.
    if (cancelled !== undefined && versionOf(cancelled.envelope.messages[0]) !== undefined) {
      cancelled.controller.abort(new Error('the host cancelled the request'))
      return
    }
    const isInitialized = first?.method === 'notifications/initialized'
    const before = Promise.all([this.#starting, this.#notifying])
    const work = before.then(() => this.#post(envelope, signal))
    this.#notifying = work.catch(() => {})
    if (isInitialized) this.#starting = this.#notifying
    await work
    if (isInitialized) this.#listen()
    // A server need not answer it, and may leave its response stream open.
    cancelled?.controller.abort(new Error('the host cancelled the request'))
  }

  async #post(envelope: Envelope, signal: AbortSignal): Promise<void> {
    const posted = await post(this.#exchange, envelope, signal)
    if (posted.refusal === undefined) await posted.response.body?.cancel()
    else {
      const { status } = posted.response
      this.#options.notice(`The MCP server answered a notification with HTTP status ${status}`)
    }
  }

  #find(id: unknown): Call | undefined {
    return typeof id === 'string' || typeof id === 'number' ? this.#calls.find(id) : undefined
  }

  /** Whether a response of the host answers a request of the session in use. */
  #isCurrent({ id }: ResponseMessage): boolean {
    const key = keyOf(id ?? '')
    const asked = this.#asked.get(key)
    this.#asked.delete(key)
    return asked === undefined || asked.generation === this.#session.generation
  }

  /** Forwards a message of the server, unless it answers a request that has its answer. */
  async #deliver(text: string, call?: Call, response?: Response): Promise<void> {
    let envelope: Envelope
    try {
      envelope = readEnvelope(text)
    } catch (error) {
      if (!(error instanceof MessageError)) throw error
      this.#options.notice(`A message of the MCP server was dropped: ${error.message}`)
      return
    }
    const { messages } = envelope
    const { filter } = this.#options
    const isList = filter !== undefined && messages.some((one) => this.#isToolList(one))
    const wanted = messages.map((one) => this.#isWanted(one, response))
    const shown = isList ? filter.filterList(text) : text
    if (!wanted.includes(false)) await this.#output.write(onOneLine(shown))
    else if (wanted.includes(true)) {
      const values = (JSON.parse(shown) as readonly unknown[]).filter((_one, at) => wanted[at])
      await this.#output.write(JSON.stringify(values))
    } else if (call !== undefined) this.#options.notice('A second answer to a request was dropped')
  }

  #isToolList(message: Message): boolean {
    if (message.kind !== 'response' || message.id === null) return false
    const request = this.#calls.find(message.id)?.unanswered.get(keyOf(message.id))
    return request?.method === 'tools/list'
  }

  #isWanted(message: Message, response: Response | undefined): boolean {
    if (message.kind === 'notification') return true
    const { generation } = this.#session
    if (message.kind === 'request') {
      this.#asked.set(keyOf(message.id), { id: message.id, generation })
      const [oldest] = this.#asked.keys()
      if (this.#asked.size > mostAsked && oldest !== undefined) this.#asked.delete(oldest)
      return true
    }
    const call = message.id === null ? undefined : this.#calls.find(message.id)
    const request = message.id === null ? undefined : this.#calls.answered(message.id)
    if (call === undefined || request === undefined) return false
    if (call.envelope.messages.length === 1) {
      this.#remember(request, call.envelope, message, response)
    }
    return true
  }

  /** Keeps what a new session needs. */
  #remember(
    { method, params }: HostRequest,
    envelope: Envelope,
    { result, error }: ResponseMessage,
    response: Response | undefined,
  ): void {
    if (error !== undefined) return
    if (method === 'initialize') {
      const sessionId = response?.headers.get('mcp-session-id') ?? undefined
      this.#session.start(envelope, { sessionId, protocolVersion: protocolVersionOf(result) })
    } else if (method === 'resources/unsubscribe') this.#changes.delete(String(params.uri))
    else if (this.#changes.size < mostSubscriptions) {
      if (method === 'resources/subscribe') this.#changes.set(String(params.uri), envelope)
      if (method === 'logging/setLevel') this.#changes.set(method, envelope)
    }
  }

  /** In a new session: repeats subscriptions, withdraws the requests of the old one, and opens the stream. */
  async #repeatChanges(): Promise<void> {
    const { upstream } = this.#options
    for (const [key, { id, generation }] of this.#asked) {
      if (generation === this.#session.generation) continue
      this.#asked.delete(key)
      const params = { requestId: id, reason: 'the server has lost the session' }
      const method = 'notifications/cancelled'
      await this.#output.write(JSON.stringify({ jsonrpc: '2.0', method, params }))
    }
    for (const change of this.#changes.values()) {
      const headers = { ...postHeaders, ...this.#session.headers() }
      const request = { method: 'POST', headers, body: change.text, signal: this.stop.signal }
      await (await upstream.send(request)).body?.cancel()
    }
    this.#listen()
  }

  /** Forwards what the server sends without being asked. */
  #listen(): void {
    this.#listening.abort()
    this.#listening = new AbortController()
    const signal = AbortSignal.any([this.#listening.signal, this.stop.signal])
    const forward = async () => {
      for await (const text of readUnsolicited(this.#exchange, signal)) await this.#deliver(text)
    }
    forward().catch((error: unknown) => {
      if (!signal.aborted) this.#options.notice(this.#explain(error))
    })
  }
}

type ResponseMessage = Extract<Message, { readonly kind: 'response' }>

const isStart = ({ messages: [first] }: Envelope): boolean =>
  first?.kind === 'request' && first.method === 'initialize'

/** The JSON-RPC error in the body of an HTTP error. */
function errorIn(text: string): ResponseMessage | undefined {
  try {
    const [first] = readEnvelope(text).messages
    return first?.kind === 'response' && first.error !== undefined ? first : undefined
  } catch {
    return undefined
  }
}
