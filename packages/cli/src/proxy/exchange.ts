import { setTimeout as sleep } from 'node:timers/promises'
import { backoff } from '@countersign/core/backend'
import { mediaTypeOf, readEvents, readExcerpt, readText } from './body.ts'
import { standardHeaders, versionOf } from './headers.ts'
import { type Envelope, isInitialize, type Message } from './message.ts'
import { parameterHeaders } from './parameter-headers.ts'
import { postHeaders, type Session } from './session.ts'
import type { ToolList } from './tool-list.ts'
import { type Upstream, UpstreamError } from './upstream.ts'

/** Where the messages of one host go. */
export interface Exchange {
  readonly upstream: Upstream
  readonly session: Session
  /** The tools whose calls repeat arguments in headers. */
  readonly tools?: ToolList
}

/** A response to a POST request. */
export interface Posted {
  readonly response: Response
  /** The body of a response that is not a success. */
  readonly refusal: string | undefined
  /** The session that the request belonged to. */
  readonly generation: number
}

/** Sends a message. After the server has forgotten the session, it is sent again in a new one: it was refused before. */
export async function post(
  { upstream, session, tools }: Exchange,
  envelope: Envelope,
  signal: AbortSignal,
): Promise<Posted> {
  const [first] = envelope.messages
  const version = versionOf(first)
  for (let attempt = 0; ; attempt++) {
    const { generation } = session
    const headers = {
      ...postHeaders,
      ...(first !== undefined && version !== undefined
        ? { ...standardHeaders(first, version), ...argumentHeaders(first, tools) }
        : isInitialize(envelope)
          ? {}
          : session.headers()),
    }
    const response = await upstream.send({ method: 'POST', headers, body: envelope.text, signal })
    if (response.ok) return { response, refusal: undefined, generation }
    const refusal = await readExcerpt(response)
    const isLost = 'mcp-session-id' in headers && session.isLost(response.status, refusal)
    if (!isLost || attempt === mostAttempts) return { response, refusal, generation }
    await session.recover(generation)
  }
}

/** The headers that repeat arguments, if the server has declared them for the tool. */
function argumentHeaders(message: Message, tools: ToolList | undefined): Record<string, string> {
  if (message.kind !== 'request' || message.method !== 'tools/call') return {}
  const { name, arguments: given } = message.params
  return parameterHeaders(tools?.get(String(name))?.headerParameters ?? [], given)
}

const mostAttempts = 2
const firstRetryMs = 1000

/**
 * Reads the messages in a response. A stream that ends early is resumed after its last event, as often as needed.
 *
 * @param isDone - whether no more messages are needed.
 * @throws {@link UpstreamError} `unknown` when the stream cannot be resumed.
 */
export async function* readMessages(
  exchange: Exchange,
  { response, generation }: Posted,
  isDone: () => boolean,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const type = mediaTypeOf(response)
  if (type === 'application/json') {
    const text = await readText(response).catch((error: unknown) => {
      throw brokenOff(error)
    })
    if (text.trim() !== '') yield text
    return
  }
  if (type !== 'text/event-stream') {
    await response.body?.cancel()
    return
  }
  let stream = response
  let lastEventId: string | undefined
  let retryMs = firstRetryMs
  for (;;) {
    let failure: unknown
    try {
      for await (const { id, event, data } of readEvents(stream, (ms) => {
        retryMs = ms
      })) {
        if (id !== undefined) lastEventId = id
        if (data !== '' && (event ?? 'message') === 'message') yield data
      }
    } catch (error) {
      signal.throwIfAborted()
      failure = error
    }
    if (isDone()) return
    if (lastEventId === undefined || generation !== exchange.session.generation) {
      throw brokenOff(failure)
    }
    await sleep(retryMs, undefined, { signal })
    stream = await openStream(exchange, lastEventId, signal)
    if (isStream(stream)) continue
    await refuseStream(exchange, stream, generation)
    throw brokenOff(new Error(`it cannot be resumed: HTTP status ${stream.status}`))
  }
}

const isStream = (response: Response): boolean =>
  response.ok && mediaTypeOf(response) === 'text/event-stream'

function brokenOff(cause: unknown): UpstreamError {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new UpstreamError('unknown', `The response of the MCP server ended early${why}`, cause)
}

function openStream(
  { upstream, session }: Exchange,
  lastEventId: string | undefined,
  signal: AbortSignal,
  patient = false,
): Promise<Response> {
  const resumed = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const headers = { accept: 'text/event-stream', ...session.headers(), ...resumed }
  return upstream.send({ method: 'GET', headers, signal }, patient)
}

/** Reads a response that is not a stream. If it says that the session is lost, a new one is initialized. */
async function refuseStream(
  { session }: Exchange,
  response: Response,
  generation: number,
): Promise<void> {
  const text = await readExcerpt(response)
  if (session.isLost(response.status, text)) await session.recover(generation)
}

/**
 * Reads the messages that the server sends without being asked, for as long as the session lasts. The stream is opened
 * again when it ends. It returns when the server offers no such stream, or the session has been replaced.
 */
export async function* readUnsolicited(
  exchange: Exchange,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const { generation } = exchange.session
  const delay = backoff(Date.now)
  let lastEventId: string | undefined
  let retryMs = firstRetryMs
  while (!signal.aborted && exchange.session.generation === generation) {
    const stream = await openStream(exchange, lastEventId, signal, true)
    if (isStream(stream)) {
      try {
        for await (const { id, event, data } of readEvents(stream, (ms) => {
          retryMs = ms
        })) {
          delay.succeeded()
          if (id !== undefined) lastEventId = id
          if (data !== '' && (event ?? 'message') === 'message') yield data
        }
      } catch {
        // The connection is lost: the next request says whether the server can be reached.
        signal.throwIfAborted()
      }
    } else {
      await refuseStream(exchange, stream, generation)
      if (stream.status < 500 && stream.status !== 429) return
    }
    delay.failed()
    do await sleep(retryMs, undefined, { signal })
    while (delay.tooEarly(freeFailures))
  }
}

/** A server may end an idle stream after some time. */
const freeFailures = 5
