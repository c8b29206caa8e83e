import { randomUUID, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { onAbort } from '@countersign/core/backend'
import { mediaTypeOf, readEvents, readExcerpt, readText } from './body.ts'
import { openBudget } from './budget.ts'
import { fateSentences } from './calls.ts'
import {
  type Envelope,
  errorCodes,
  errorResponse,
  isFirstRequest,
  isInitialize,
  keyOf,
  longestMessage,
  type Message,
  MessageError,
  readEnvelope,
} from './message.ts'
import { passThrough } from './pass-through.ts'
import type { ForwardOptions } from './server-messages.ts'
import { openSession, postHeaders, protocolVersionOf, type Session } from './session.ts'
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

/** The path of the local MCP server. */
export const serverPath = '/mcp'

const mostSessions = 1000
const mostChanges = 1000
const endMs = 500

/** A session of the server, and the requests that a new one needs again. */
interface LocalSession {
  readonly session: Session
  /** Subscriptions by their URI, and the level of logging. */
  readonly changes: Map<string, Envelope>
}

/** Passes HTTP requests of hosts on to the server. */
export class HttpHandler {
  readonly #options: HttpHandlerOptions
  readonly #secret: Buffer | undefined
  /** By the session ID that the host has, which stays the same when the server forgets the session. */
  readonly #sessions = new Map<string, LocalSession>()
  readonly #budget = openBudget(4 * longestMessage)
  /** The accepted values of the header `Host` on TCP: a web page could make another name lead here. */
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
      const refusal = this.#refuse(request)
      if (refusal === undefined) await this.#forward(request, response, controller.signal)
      else respond(response, ...refusal)
    } catch (error) {
      if (controller.signal.aborted || response.headersSent) response.destroy()
      else respond(response, 500, this.#options.describe(error))
    } finally {
      stopped()
    }
  }

  /** Ends the sessions of the server. */
  async end(): Promise<void> {
    const signal = AbortSignal.timeout(endMs)
    await Promise.all([...this.#sessions.values()].map(({ session }) => session.end(signal)))
  }

  /** The status and the text for a request that is not forwarded. */
  #refuse({ headers, url, method }: IncomingMessage): [number, string] | undefined {
    const { host = '', origin, authorization = '' } = headers
    if (this.#secret !== undefined && !this.#hosts.includes(host.toLowerCase())) {
      return [403, 'the header Host must name the address that the proxy listens on']
    }
    if (origin !== undefined && !this.#options.origins.includes(origin)) {
      return [403, 'requests with a header Origin are refused; see --allow-origin']
    }
    const [, given = ''] = /^Bearer +(.*)$/i.exec(authorization) ?? []
    if (this.#secret !== undefined && !isEqual(Buffer.from(given), this.#secret)) {
      return [401, 'the secret of the proxy is missing or wrong']
    }
    if (url !== serverPath) return [404, `the path of the MCP server is ${serverPath}`]
    if (!['POST', 'GET', 'DELETE'].includes(method ?? '')) {
      return [405, 'the method must be POST, GET or DELETE']
    }
    return undefined
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
    const parts = passThrough(found, {
      envelope,
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
      const id = randomUUID()
      this.#sessions.set(id, { session, changes })
      this.#evict()
      response.setHeader('mcp-session-id', id)
    }
    respondJson(response, found.status, answer)
  }

  #evict(): void {
    const [oldest] = this.#sessions
    if (this.#sessions.size <= mostSessions || oldest === undefined) return
    const [id, { session }] = oldest
    this.#sessions.delete(id)
    void session.end(AbortSignal.timeout(endMs))
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

/** Compares a secret in constant time; its length is not secret. */
const isEqual = (one: Buffer, other: Buffer): boolean =>
  one.length === other.length && timingSafeEqual(one, other)

const requestsOf = (envelope: Envelope | undefined) =>
  envelope?.messages.filter((one) => one.kind === 'request') ?? []

const onlyOrAll = (answers: readonly string[]): string =>
  answers.length === 1 ? String(answers[0]) : `[${answers.join(',')}]`

/** Keeps a request that changes the session. */
function remember(
  { changes }: LocalSession,
  message: Message | undefined,
  envelope: Envelope,
): void {
  if (message?.kind !== 'request') return
  const { method, params } = message
  if (method === 'resources/unsubscribe') changes.delete(String(params.uri))
  else if (changes.size < mostChanges) {
    if (method === 'resources/subscribe') changes.set(String(params.uri), envelope)
    if (method === 'logging/setLevel') changes.set(method, envelope)
  }
}

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
