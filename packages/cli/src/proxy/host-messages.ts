import { onAbort, sanitize, timeoutSignal, unlessAborted } from '@countersign/core/backend'
import { openBudget } from './budget.ts'
import { type Call, type Calls, fateSentences } from './calls.ts'
import { type Posted, post, readMessages } from './exchange.ts'
import { versionOf } from './headers.ts'
import type { LineWriter } from './lines.ts'
import {
  type Envelope,
  errorCodes,
  errorResponse,
  isFirstRequest,
  isInitialize,
  longestMessage,
  MessageError,
  readEnvelope,
} from './message.ts'
import type { ForwardOptions, ResponseMessage, ServerMessages } from './server-messages.ts'
import { readToolList } from './tool-listing.ts'
import { type Fate, UpstreamError } from './upstream.ts'

/** Octets of requests that are sent at once. A request counts some more for its connection. */
const mostUnderWay = 2 * longestMessage
const costOfRequest = 16_384

/** How long the last answers wait for a host that does not read them. */
const lastWriteSeconds = 0.5

/** Options of {@link HostMessages}. */
export interface HostMessagesOptions extends ForwardOptions {
  readonly calls: Calls
  readonly output: LineWriter
  readonly server: ServerMessages
  /** Aborts at the end of the proxy. */
  readonly signal: AbortSignal
}

/** Forwards messages of the host to the server. */
export class HostMessages {
  readonly #options: HostMessagesOptions
  readonly #budget = openBudget(mostUnderWay)
  /** Messages wait for the start of the session, because they could overtake it. */
  #starting: Promise<unknown> = Promise.resolve()
  #notifying: Promise<unknown> = Promise.resolve()
  #listing: Promise<void> | undefined

  constructor(options: HostMessagesOptions) {
    this.#options = options
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
      await this.#options.output.write(errorResponse(null, error.code, error.message))
      return
    }
    const release = await this.#budget.take(envelope.text.length + costOfRequest)
    const work = envelope.messages.some(({ kind }) => kind === 'request')
      ? this.#call(envelope, release)
      : this.#notify(envelope)
    work.finally(release).catch((error: unknown) => this.#options.notice(this.#describe(error)))
  }

  /** Waits for the requests under way, and answers those that take longer with an error. */
  async finish(late: AbortSignal): Promise<void> {
    const { calls, signal } = this.#options
    await unlessAborted(Promise.all([calls.idle(), this.#notifying]), late).catch(() => {})
    if (signal.aborted) return
    const error = new UpstreamError('unknown', 'The proxy ends before the MCP server has answered')
    const failing = calls.unfinished().map((call) => this.#fail(call, error))
    await unlessAborted(Promise.all(failing), timeoutSignal(lastWriteSeconds)).catch(() => {})
  }

  async #call(envelope: Envelope, release: () => void): Promise<void> {
    const call = this.#options.calls.add(envelope)
    if (call === undefined) {
      this.#options.notice('A request with the ID of one under way was dropped')
      return
    }
    const stopped = onAbort(this.#options.signal, () =>
      call.controller.abort(this.#options.signal.reason),
    )
    const starting = this.#starting
    const work = starting.then(() => this.#exchangeCall(call, release))
    if (isInitialize(envelope)) this.#starting = work.catch(() => {})
    try {
      await work
    } catch (error) {
      if (!call.isCancelled && !this.#options.signal.aborted) await this.#fail(call, error)
    } finally {
      stopped()
      this.#options.calls.remove(call)
    }
  }

  async #exchangeCall(call: Call, release: () => void): Promise<void> {
    const { envelope, controller } = call
    const { signal } = controller
    signal.throwIfAborted()
    if (call.isCancelled) return
    const refused = await this.#refusedByFilter(envelope)
    if (refused !== undefined) {
      this.#options.calls.remove(call)
      for (const answer of refused) await this.#options.output.write(answer)
      return
    }
    const posted = await post(this.#options.server.exchange, envelope, signal)
    release()
    const { response, refusal } = posted
    if (refusal !== undefined) return this.#refuse(call, posted)
    const isDone = () => call.unanswered.size === 0 || call.isCancelled
    for await (const text of readMessages(this.#options.server.exchange, posted, isDone, signal)) {
      await this.#options.server.deliver(text, response)
    }
    if (isDone()) return
    throw new UpstreamError('unknown', 'The MCP server ended its response without an answer')
  }

  /** The answers to a call of a hidden tool. The list of tools is read first if it decides that. */
  async #refusedByFilter({ messages }: Envelope): Promise<string[] | undefined> {
    const { filter, server, tools, signal } = this.#options
    if (this.#listing === undefined && filter?.needsList(messages)) {
      const exchange = { ...server.exchange, tools }
      const [like] = messages
      this.#listing = readToolList(exchange, like, server.deliver, signal).finally(() => {
        this.#listing = undefined
      })
    }
    if (this.#listing !== undefined) await this.#listing
    return filter?.refuse(messages)
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
      await this.#options.server.deliver(text, response)
      if (!this.#options.calls.has(call)) return
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
    const explained = isFirstRequest(call.envelope)
      ? await this.#options.explain?.((error as Error).cause, this.#options.signal)
      : undefined
    const message = `${explained ?? this.#describe(error)}; ${fateSentences[fate]}`
    this.#options.notice(message)
    const answers = this.#options.calls.fail(call, {
      ...{ message, fate },
      code: typeof code === 'string' ? code : undefined,
    })
    for (const answer of answers) await this.#options.output.write(answer)
  }

  #describe(error: unknown): string {
    return error instanceof UpstreamError ? error.message : this.#options.describe(error)
  }

  /** Sends notifications in their order, and responses at once. */
  async #notify(envelope: Envelope): Promise<void> {
    const { signal } = this.#options
    const [first] = envelope.messages
    if (first?.kind === 'response') {
      if (!this.#options.server.isCurrent(first)) return
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
    if (isInitialized) this.#options.server.listen()
    // A server need not answer it, and may leave its response stream open.
    cancelled?.controller.abort(new Error('the host cancelled the request'))
  }

  async #post(envelope: Envelope, signal: AbortSignal): Promise<void> {
    const posted = await post(this.#options.server.exchange, envelope, signal)
    if (posted.refusal === undefined) await posted.response.body?.cancel()
    else {
      const { status } = posted.response
      this.#options.notice(`The MCP server answered a notification with HTTP status ${status}`)
    }
  }

  #find(id: unknown): Call | undefined {
    return typeof id === 'string' || typeof id === 'number'
      ? this.#options.calls.find(id)
      : undefined
  }
}

/** The JSON-RPC error in the body of an HTTP error. */
function errorIn(text: string): ResponseMessage | undefined {
  try {
    const [first] = readEnvelope(text).messages
    return first?.kind === 'response' && first.error !== undefined ? first : undefined
  } catch {
    return undefined
  }
}
