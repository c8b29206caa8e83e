import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { onAbort } from '@countersign/core/backend'
import { mediaTypeOf, readEvents, readExcerpt, readText } from './body.ts'
import { openBudget } from './budget.ts'
import { fateSentences } from './calls.ts'
import { allowOrigin, isPreflight, refusalOf } from './http-access.ts'
import {
  isOutdated,
  type LocalSession,
  LocalSessions,
  remember,
  rememberAsked,
} from './http-sessions.ts'
import {
  type Envelope,
  errorCodes,
  errorResponse,
  isFirstRequest,
  isInitialize,
  keyOf,
  longestMessage,
  MessageError,
  readEnvelope,
} from './message.ts'
import { passThrough } from './pass-through.ts'
import type { ForwardOptions } from './server-messages.ts'
import { openSession, postHeaders, protocolVersionOf, type Session } from './session.ts'
import { readToolList } from './tool-listing.ts'
import { type Fate, UpstreamError } from './upstream.ts'

/** Options of {@link HttpHandler}. */
export interface HttpHandlerOptions extends ForwardOptions {
  /** What a host on TCP sends as a bearer token; `undefined` on a Unix socket, where the file decides. */
  readonly secret: string | undefined
  /** Values of the header `Origin` that are accepted. */
  readonly origins: readonly string[]
  /** Aborts the requests under way. */
  readonly signal: AbortSignal
}

/** Passes HTTP requests of hosts on to the server. */
export class HttpHandler {
  readonly #options: HttpHandlerOptions
  readonly #secret: Buffer | undefined
  readonly #sessions = new LocalSessions()
  readonly #budget = openBudget(4 * longestMessage)
  #listing: Promise<void> | undefined
  #hosts: readonly string[] = []

  constructor(options: HttpHandlerOptions) {
    this.#options = options
    this.#secret = options.secret === undefined ? undefined : Buffer.from(options.secret)
  }

  /** Accepts requests that name this machine and the port. Before that, all requests on TCP are refused. */
  acceptHosts(port: number): void {
    this.#hosts = ['127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${port}`)
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const controller = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) controller.abort(new Error('the host closed the connection'))
    })
    const stopped = onAbort(this.#options.signal, () => controller.abort())
    try {
      const refusal = refusalOf(request, {
        ...{ secret: this.#secret, hosts: this.#hosts, origins: this.#options.origins },
      })
      if (refusal === undefined) allowOrigin(request, response)
      if (refusal === undefined && isPreflight(request)) response.writeHead(204).end()
      else if (refusal === undefined) await this.#forward(request, response, controller.signal)
      else respond(response, ...refusal)
    } catch (error) {
      if (controller.signal.aborted || response.headersSent) response.destroy()
      else respond(response, 500, this.#options.describe(error))
    } finally {
      stopped()
    }
  }

  /** Ends the sessions of the server. */
  end(): Promise<void> {
    return this.#sessions.end()
  }

  async #forward(
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const id = request.headers['mcp-session-id']
    const local = typeof id === 'string' ? this.#sessions.get(id) : undefined
    if (id !== undefined && local === undefined) {
      respondError(response, 404, 'the proxy does not know the session')
      return
    }
    const release = await this.#budget.take(
      Math.min(Number(request.headers['content-length'] ?? longestMessage), longestMessage),
    )
    let envelope: Envelope | undefined
    try {
      if (request.method === 'POST') envelope = readEnvelope(await readBody(request))
      if (envelope !== undefined && local !== undefined && isOutdated(envelope, local)) {
        response.writeHead(202).end()
        return
      }
      await this.#readList(envelope, local?.session)
      const answers = this.#options.filter?.refuse(envelope?.messages ?? [])
      if (answers !== undefined) {
        respondJson(response, 200, onlyOrAll(answers))
        return
      }
      const found = await this.#send(request, envelope, local?.session, signal)
      release()
      await this.#answer(response, found, envelope, local, String(id), signal)
    } catch (error) {
      if (error instanceof MessageError) {
        // The rest of a body that is too long is not read.
        response.setHeader('connection', 'close')
        respondError(response, error.code === errorCodes.tooLong ? 413 : 400, error.message)
      } else if (signal.aborted || response.headersSent) response.destroy()
      else await this.#fail(response, envelope, error, signal)
    } finally {
      release()
    }
  }

  /** Reads the list of tools for `--read-only`, if the host calls a tool before it has listed them. */
  async #readList(envelope: Envelope | undefined, session: Session | undefined): Promise<void> {
    const { filter, tools, upstream, notice, signal } = this.#options
    if (envelope === undefined || filter === undefined) return
    if (this.#listing === undefined && filter.needsList(envelope.messages)) {
      const [like] = envelope.messages
      const own = session ?? openSession({ upstream, notice, signal })
      const exchange = { upstream, tools, session: own }
      this.#listing = readToolList(exchange, like, async () => {}, signal).finally(() => {
        this.#listing = undefined
      })
    }
    await this.#listing
  }

  /** Sends a request. If the server has forgotten the session, it is sent again in a new one. */
  async #send(
    request: IncomingMessage,
    envelope: Envelope | undefined,
    session: Session | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const { method = '' } = request
    const body = envelope === undefined ? {} : { body: envelope.text }
    for (let attempt = 0; ; attempt++) {
      const generation = session?.generation ?? 0
      const { 'last-event-id': lastEventId, ...others } = forwarded(request)
      const headers = {
        ...others,
        // The events of the old session are not those of the new one.
        ...(lastEventId === undefined || attempt > 0 ? {} : { 'last-event-id': lastEventId }),
        ...session?.headers(),
      }
      const response = await this.#options.upstream.send({ method, headers, signal, ...body })
      if (response.ok || session === undefined || method === 'DELETE') return response
      if (response.status !== 404 && response.status !== 400) return response
      const text = await readExcerpt(response)
      if (!session.isLost(response.status, text) || attempt > 0) {
        return new Response(text, { status: response.status, headers: response.headers })
      }
      await session.recover(generation)
    }
  }

  async #answer(
    response: ServerResponse,
    found: Response,
    envelope: Envelope | undefined,
    local: LocalSession | undefined,
    id: string,
    signal: AbortSignal,
  ): Promise<void> {
    const [first] = envelope?.messages ?? []
    if (response.req.method === 'DELETE' && (found.ok || found.status === 404)) {
      this.#sessions.delete(id)
    }
    if (found.ok && envelope !== undefined && isInitialize(envelope)) {
      await this.#start(response, found, envelope)
      return
    }
    if (found.ok && local !== undefined && envelope !== undefined) remember(local, first, envelope)
    response.statusCode = found.status
    for (const [name, value] of found.headers) {
      if (isPassed(name)) response.setHeader(name, value)
    }
    if (local !== undefined) response.setHeader('mcp-session-id', id)
    // Not at once: the first octets of the body, if they are here already, go out together with the headers.
    setImmediate(() => response.flushHeaders())
    const { filter } = this.#options
    const { generation = 0 } = local?.session ?? {}
    const parts = passThrough(found, {
      envelope,
      onRequest(asked) {
        if (local !== undefined) rememberAsked(local, asked, generation)
      },
      change: filter !== undefined && found.ok ? (text) => this.#filterList(text) : undefined,
      whenBroken: (ids, cause) => this.#failures(envelope, ids, cause),
    })
    for await (const part of parts) {
      if (!response.write(part)) await once(response, 'drain', { signal })
    }
    response.end()
  }

  /** Answers `initialize`, and opens the session that begins with it. */
  async #start(response: ServerResponse, found: Response, envelope: Envelope): Promise<void> {
    const answer = await firstAnswer(found)
    const [message] = answer === undefined ? [] : readEnvelope(answer).messages
    if (answer === undefined || message?.kind !== 'response') {
      throw new UpstreamError('unknown', 'The MCP server ended its response without an answer')
    }
    const sessionId = found.headers.get('mcp-session-id') ?? undefined
    if (sessionId !== undefined && message.error === undefined) {
      const { upstream, notice, signal } = this.#options
      const changes = new Map<string, Envelope>()
      const session = openSession({
        ...{ upstream, notice, signal },
        onRecovered: async () => {
          for (const { text } of changes.values()) {
            const headers = { ...postHeaders, ...session.headers() }
            const again = await upstream.send({ method: 'POST', headers, body: text, signal })
            await again.body?.cancel()
          }
        },
      })
      session.start(envelope, { sessionId, protocolVersion: protocolVersionOf(message.result) })
      response.setHeader('mcp-session-id', this.#sessions.add(session, changes))
    }
    respondJson(response, found.status, answer)
  }

  /** Reads the tools in a message, and hides those that the options do not allow. */
  #filterList(text: string): string {
    const { filter, tools } = this.#options
    const { messages } = readEnvelope(text)
    for (const message of messages) if (message.kind === 'response') tools.add(message.result)
    return filter?.filterList(text) ?? text
  }

  /** The answers to the requests of these IDs, which say whether the server has seen them. */
  #failures(
    envelope: Envelope | undefined,
    ids: ReadonlySet<string>,
    error: unknown,
    explained?: string,
  ): string[] {
    const fate: Fate = error instanceof UpstreamError ? error.fate : 'unknown'
    const said =
      error instanceof UpstreamError
        ? error.message
        : error === undefined
          ? 'The MCP server ended its response without an answer'
          : this.#options.describe(error)
    const message = `${explained ?? said}; ${fateSentences[fate]}`
    this.#options.notice(message)
    const { code } = ((error as Error | undefined)?.cause ?? {}) as { readonly code?: unknown }
    const data = { fate, ...(typeof code === 'string' ? { code } : {}) }
    return requestsOf(envelope)
      .filter(({ id }) => ids.has(keyOf(id)))
      .map(({ id }) => errorResponse(id, errorCodes.proxy, message, data))
  }

  /** Answers with JSON-RPC errors, since hosts show these and not the body of an HTTP error. */
  async #fail(
    response: ServerResponse,
    envelope: Envelope | undefined,
    error: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    const ids = new Set(requestsOf(envelope).map(({ id }) => keyOf(id)))
    const explained =
      envelope !== undefined && isFirstRequest(envelope)
        ? await this.#options.explain?.((error as Error).cause, signal)
        : undefined
    const answers = this.#failures(envelope, ids, error, explained)
    if (answers.length > 0) respondJson(response, 200, onlyOrAll(answers))
    else respondError(response, 502, this.#options.describe(error))
  }
}

const requestsOf = (envelope: Envelope | undefined) =>
  envelope?.messages.filter((one) => one.kind === 'request') ?? []

const onlyOrAll = (answers: readonly string[]): string =>
  answers.length === 1 ? String(answers[0]) : `[${answers.join(',')}]`

/** The text of the first answer in a response to one request. */
async function firstAnswer(response: Response): Promise<string | undefined> {
  if (mediaTypeOf(response) !== 'text/event-stream') return readText(response)
  for await (const { data } of readEvents(response)) {
    if (data !== '' && readEnvelope(data).messages.some(({ kind }) => kind === 'response')) {
      return data
    }
  }
  return undefined
}

/** The headers of the host that the server gets: never its authorization, its cookies or its session ID. */
function forwarded({ headers }: IncomingMessage): Record<string, string> {
  const passed = Object.entries(headers).filter(
    ([name, value]) =>
      typeof value === 'string' &&
      name !== 'mcp-session-id' &&
      (/^mcp-/.test(name) || ['content-type', 'accept', 'last-event-id'].includes(name)),
  )
  return Object.fromEntries(passed) as Record<string, string>
}

/** Whether the host gets a header of the server. */
const isPassed = (name: string): boolean =>
  (/^mcp-/.test(name) && name !== 'mcp-session-id') ||
  ['content-type', 'cache-control', 'retry-after', 'allow'].includes(name)

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longestMessage) {
      const message = `A message may have at most ${longestMessage} octets`
      throw new MessageError(errorCodes.tooLong, message)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Responds with a sentence. */
function respond(response: ServerResponse, status: number, message: string): void {
  if (status === 405) response.setHeader('allow', 'POST, GET, DELETE')
  if (status === 401) response.setHeader('www-authenticate', 'Bearer')
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${message}\n`)
}

/** Responds with a JSON-RPC error that belongs to no request. */
const respondError = (response: ServerResponse, status: number, message: string): void =>
  respondJson(response, status, errorResponse(null, errorCodes.proxy, message))

function respondJson(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(text)
}
