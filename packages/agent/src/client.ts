import { lstatSync } from 'node:fs'
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { Deadline, ownOptions, requireString, requireTimeout } from '@countersign/core/backend'
import { AgentError, errorOf, unexpected } from './agent-error.ts'
import { agentSocketPath } from './socket-path.ts'

/** Options of {@link agentAssertion} and the other functions that use an agent. */
export interface AgentClientOptions {
  /** Absolute path of the socket; `COUNTERSIGN_AGENT` or the default path when it is left out. */
  readonly socket?: string | undefined
  /** Bound on one request to the agent; 35 by default, which is more than the agent's own bound. */
  readonly timeoutSeconds?: number | undefined
}

/** The token response of an agent, with the member names of RFC 6749 §5.1. */
export interface AgentToken {
  readonly access_token: string
  readonly token_type: string
  /** Whole seconds that are left; absent when the authorization server did not say. */
  readonly expires_in?: number
  readonly scope?: string
  /** The resource that the token is for, RFC 8707; absent when the client has none. */
  readonly resource?: string
}

/** Headers that authorize a request. */
export interface AgentHeaders {
  /** By name: `Authorization`, and `DPoP` with the proof for one request if the token is bound to a key. */
  readonly headers: Readonly<Record<string, string>>
  readonly expires_in?: number
  /** The configured resource that the URL is within. */
  readonly resource: string
}

/** A DPoP proof of an agent. */
export interface AgentProof {
  /** A JWT in compact serialization, for the header `DPoP` of one request. */
  readonly dpop_proof: string
}

/** What a request for headers may say. */
export interface AgentHeadersRequest extends AgentTokenRequest {
  /** The HTTP method of the request; needed if tokens of the client are bound to a key. */
  readonly method?: string | undefined
  /** The header `DPoP-Nonce` of the last response of the resource. */
  readonly nonce?: string | undefined
}

/** A client assertion of an agent, with the member names of RFC 7521 §4.2. */
export interface AgentAssertion {
  readonly client_id: string
  readonly client_assertion: string
  readonly client_assertion_type: string
  readonly expires_in: number
}

/** What a request for a token may say. */
export interface AgentTokenRequest {
  /** Scope values that the configuration allows, separated by spaces; all of them by default. */
  readonly scope?: string | undefined
  /** A token that the resource refused: the agent discards it if it is still the cached one. */
  readonly refusedToken?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** One client of an agent's configuration. */
export interface AgentTokens {
  /** Makes an assertion for an audience; for the configured one when it is left out. */
  assertion(options?: {
    readonly audience?: string | undefined
    readonly signal?: AbortSignal | undefined
  }): Promise<AgentAssertion>
  /** Gets the access token for a configured resource; for the first one when it is left out. */
  token(
    options?: AgentTokenRequest & { readonly resource?: string | undefined },
  ): Promise<AgentToken>
  /** Gets the headers that authorize requests to a URL within a configured resource. */
  headers(url: string | URL, options?: AgentHeadersRequest): Promise<AgentHeaders>
}

/**
 * Connects to one client of an agent. No request is sent before the first call of a method.
 *
 * @throws `TypeError` when an argument is not of its type. The methods throw an {@link AgentError}.
 */
export function agentTokens(name: string, options: AgentClientOptions = {}): AgentTokens {
  requireString(name, 'name')
  const { socket, timeoutSeconds = 35 } = ownOptions(options)
  requireTimeout(timeoutSeconds)
  const path = agentSocketPath(socket)
  const post = <T extends object>(
    what: string,
    body: object,
    signal: AbortSignal | undefined,
    member: keyof T & string,
  ): Promise<T> =>
    callAgent<T>(path, `/clients/${encodeURIComponent(name)}/${what}`, {
      ...{ body, signal, timeoutSeconds, member },
    })
  return Object.freeze<AgentTokens>({
    assertion: ({ audience, signal } = {}) =>
      post('assertion', { audience }, signal, 'client_assertion'),
    token: ({ resource, scope, refusedToken, signal } = {}) =>
      post('token', { resource, scope, refused_token: refusedToken }, signal, 'access_token'),
    headers: (url, { method, nonce, scope, refusedToken, signal } = {}) =>
      post(
        'headers',
        { url: String(url), method, nonce, scope, refused_token: refusedToken },
        signal,
        'headers',
      ),
  })
}

/**
 * Makes client assertions by an agent, for `externalAssertion` of `@countersign/oauth` and everything else that takes a
 * function from audience to assertion.
 *
 * @param name - the client in the agent's configuration.
 * @param options - the socket, and a bound in seconds.
 * @returns a function that takes the issuer identifier of the authorization server and returns a signed JWT in compact
 *   serialization, a new one at each call. It throws an {@link AgentError}: `ERR_AGENT_NOT_ALLOWED` for an audience that
 *   is not configured.
 * @throws `TypeError` when an argument is not of its type.
 *
 * @example
 * ```ts
 * import { agentAssertion } from '@countersign/agent'
 * import { externalAssertion, tokenSource } from '@countersign/oauth'
 *
 * const source = tokenSource({
 *   issuer: 'https://as.example.com',
 *   clientId: 'billing-agent',
 *   authentication: externalAssertion(agentAssertion('billing')),
 * })
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export function agentAssertion(
  name: string,
  options: AgentClientOptions = {},
): (audience: string) => Promise<string> {
  const tokens = agentTokens(name, options)
  return async (audience) => (await tokens.assertion({ audience })).client_assertion
}

/**
 * Lists the names of the clients in an agent's configuration.
 *
 * @throws {@link AgentError} when the agent cannot be reached.
 */
export async function agentClientNames(
  options: AgentClientOptions = {},
): Promise<readonly string[]> {
  const { socket, timeoutSeconds = 35 } = ownOptions(options)
  requireTimeout(timeoutSeconds)
  const { clients } = await callAgent<{ readonly clients: readonly { readonly name: string }[] }>(
    agentSocketPath(socket),
    '/clients',
    { timeoutSeconds, member: 'clients' },
  )
  return clients.map(({ name }) => name)
}

/** One request to an agent. */
interface AgentCall {
  /** Sent by POST as JSON; a GET request when it is left out. */
  readonly body?: object | undefined
  readonly signal?: AbortSignal | undefined
  readonly timeoutSeconds: number
  /** A member that the answer must have. */
  readonly member: string
}

/** Sends a request to the agent, and returns its answer. */
export async function callAgent<T extends object>(
  socketPath: string,
  path: string,
  { body, signal, timeoutSeconds, member }: AgentCall,
): Promise<T> {
  signal?.throwIfAborted()
  requireOwnSocket(socketPath)
  const deadline = new Deadline(timeoutSeconds, signal, () => tooLate(socketPath, timeoutSeconds))
  const text = body === undefined ? undefined : JSON.stringify(body)
  const options: RequestOptions = {
    ...{ socketPath, path, agent: connections, signal: deadline.signal },
    method: text === undefined ? 'GET' : 'POST',
    headers: text === undefined ? {} : { 'content-type': 'application/json' },
  }
  const { status, content } = await deadline.settle(send(options, text))
  if (status !== 200) throw errorOf(status, content)
  if (typeof content !== 'object' || content === null || !(member in content)) {
    throw unexpected(status)
  }
  return content as T
}

// Idle connections do not keep the process alive.
const connections = new Agent({ keepAlive: true, maxSockets: 64 })

interface Answer {
  readonly status: number
  readonly content: unknown
}

async function send(
  options: RequestOptions,
  text: string | undefined,
  again = true,
): Promise<Answer> {
  let reused = false
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(options, resolve)
      sent.on('error', (error) => {
        reused = sent.reusedSocket
        reject(error)
      })
      sent.end(text)
    })
    return { status: response.statusCode ?? 0, content: await readJson(response) }
  } catch (error) {
    options.signal?.throwIfAborted()
    // The agent may have closed an idle connection at the moment of its reuse.
    if (reused && again) return send(options, text, false)
    throw unreachable(String(options.socketPath), error)
  }
}

const longestAnswer = 1_000_000

async function readJson(response: IncomingMessage): Promise<unknown> {
  let text = ''
  response.setEncoding('utf8')
  for await (const chunk of response) {
    text += chunk
    if (text.length > longestAnswer) {
      response.destroy()
      return undefined
    }
  }
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Refuses a socket that another user made, except root, who can read this process anyway. */
function requireOwnSocket(path: string): void {
  const uid = process.getuid?.()
  let status: ReturnType<typeof lstatSync>
  try {
    status = lstatSync(path)
  } catch (error) {
    throw unreachable(path, error)
  }
  if (status.isSocket() && (uid === undefined || status.uid === uid || status.uid === 0)) return
  throw new AgentError(
    'ERR_AGENT_UNREACHABLE',
    `${JSON.stringify(path)} is ${status.isSocket() ? 'a socket of another user' : 'not a socket'}; no request was sent. Give the socket of your own agent in COUNTERSIGN_AGENT`,
  )
}

function unreachable(path: string, cause: unknown): AgentError {
  const { code } = cause as NodeJS.ErrnoException
  const shown = JSON.stringify(path)
  return new AgentError(
    'ERR_AGENT_UNREACHABLE',
    `The agent cannot be reached at ${shown} (${code ?? 'the connection failed'}); start it with "countersign agent", or name its socket in COUNTERSIGN_AGENT`,
    { cause, retryable: true },
  )
}

function tooLate(path: string, seconds: number): AgentError {
  return new AgentError(
    'ERR_AGENT_TIMEOUT',
    `The agent at ${JSON.stringify(path)} did not answer within ${seconds} s`,
    { retryable: true },
  )
}
