import { mediaTypeOf, readEvents, readExcerpt, readText } from './body.ts'
import { type Envelope, type Message, readEnvelope } from './message.ts'
import { type Upstream, UpstreamError } from './upstream.ts'

/** What `initialize` decided. */
export interface Negotiated {
  /** The server's session ID; `undefined` when it has no sessions. */
  readonly sessionId: string | undefined
  readonly protocolVersion: string | undefined
}

/** A session of the server, which is initialized again when the server has forgotten it. */
export interface Session {
  /** Changes each time the session is initialized again. */
  readonly generation: number
  /** The headers of a request within the session. */
  headers(): Record<string, string>
  /** Keeps what `initialize` decided, and the message that the host sent for it. */
  start(initialize: Envelope, negotiated: Negotiated): void
  /**
   * Initializes the session again with the host's own message, unless that has been done since this generation. Callers
   * that notice the loss together share one attempt.
   *
   * @throws {@link UpstreamError} `refused` when the server does not accept it.
   */
  recover(generation: number): Promise<void>
  /** Whether the response says that the server does not know the session. */
  isLost(status: number, text: string): boolean
  /** Ends the session. It does not throw. */
  end(signal: AbortSignal): Promise<void>
}

/** Options of {@link openSession}. */
export interface SessionOptions {
  readonly upstream: Upstream
  readonly signal: AbortSignal
  readonly notice: (line: string) => void
  /** Called after a new session was initialized, before any request is sent in it. */
  readonly onRecovered?: () => Promise<void>
}

/** Makes the {@link Session} of one host. */
export function openSession(options: SessionOptions): Session {
  const { upstream, signal, notice, onRecovered } = options
  let initialize: Envelope | undefined
  let negotiated: Negotiated | undefined
  let generation = 0
  let recovering: Promise<void> | undefined

  async function initializeAgain({ text }: Envelope): Promise<void> {
    const response = await upstream.send({
      ...{ method: 'POST', headers: postHeaders, body: text, signal },
    })
    const before = negotiated?.protocolVersion
    negotiated = await negotiatedBy(response)
    await acknowledge()
    generation++
    notice('The MCP server had forgotten the session; a new one was initialized')
    if (negotiated.protocolVersion !== before) {
      notice(`The new session has another protocol version: ${negotiated.protocolVersion}`)
    }
    await onRecovered?.()
  }

  async function acknowledge(): Promise<void> {
    const body = '{"jsonrpc":"2.0","method":"notifications/initialized"}'
    const headers = { ...postHeaders, ...session.headers() }
    const response = await upstream.send({ method: 'POST', headers, body, signal })
    await readExcerpt(response)
    if (!response.ok) throw new UpstreamError('refused', refusal(response.status))
  }

  const session: Session = {
    get generation() {
      return generation
    },
    headers() {
      const { sessionId, protocolVersion } = negotiated ?? {}
      return {
        ...(sessionId === undefined ? {} : { 'mcp-session-id': sessionId }),
        ...(protocolVersion === undefined ? {} : { 'mcp-protocol-version': protocolVersion }),
      }
    },
    start(message, decided) {
      initialize = message
      negotiated = decided
      generation++
    },
    async recover(from) {
      if (from !== generation || initialize === undefined) return
      recovering ??= initializeAgain(initialize).finally(() => {
        recovering = undefined
      })
      await recovering
    },
    isLost(status, text) {
      if (negotiated?.sessionId === undefined) return false
      return status === 404 || (status === 400 && /session|not initialized/i.test(text))
    },
    async end(stop) {
      if (negotiated?.sessionId === undefined) return
      const request = { method: 'DELETE', headers: session.headers(), signal: stop }
      await upstream.send(request).then(readExcerpt, () => {})
    },
  }
  return session
}

/** The headers of every POST request. */
export const postHeaders: Readonly<Record<string, string>> = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

async function negotiatedBy(response: Response): Promise<Negotiated> {
  if (!response.ok) {
    await response.body?.cancel()
    throw new UpstreamError('refused', refusal(response.status))
  }
  const sessionId = response.headers.get('mcp-session-id') ?? undefined
  const answer = await answerIn(response)
  if (answer === undefined || answer.error !== undefined) {
    throw new UpstreamError('refused', 'The MCP server forgot the session, and refuses a new one')
  }
  return { sessionId, protocolVersion: protocolVersionOf(answer.result) }
}

/** The protocol version in the result of `initialize`. */
export function protocolVersionOf(result: unknown): string | undefined {
  const { protocolVersion } = (result ?? {}) as { readonly protocolVersion?: unknown }
  return typeof protocolVersion === 'string' ? protocolVersion : undefined
}

type Answer = Extract<Message, { readonly kind: 'response' }>

async function answerIn(response: Response): Promise<Answer | undefined> {
  const answer = (text: string) =>
    readEnvelope(text).messages.find((one) => one.kind === 'response')
  if (mediaTypeOf(response) !== 'text/event-stream') return answer(await readText(response))
  for await (const { data } of readEvents(response)) {
    const found = data === '' ? undefined : answer(data)
    if (found !== undefined) return found
  }
  return undefined
}

const refusal = (status: number): string =>
  `The MCP server forgot the session, and answers with HTTP status ${status} to a new one`
