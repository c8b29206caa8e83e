import type { Fetch } from '@countersign/oauth'
import {
  firstHop,
  followRedirects,
  isReplayable,
  isWithin,
  sanitize,
  tokenChallenge,
} from '@countersign/oauth/internal'
import { AgentError } from './agent-error.ts'
import { type AgentClientOptions, type AgentHeaders, agentTokens } from './client.ts'

/** Options of {@link agentFetch}. */
export interface AgentFetchOptions extends AgentClientOptions {
  /** Scope values to use, separated by spaces; all that the agent's configuration has by default. */
  readonly scope?: string | undefined
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
}

/**
 * Makes a `fetch` that sends requests with an access token of an agent. The agent caches the token for all processes.
 *
 * The token goes to the resources of the client in the agent's configuration, and to no other URL, redirects included.
 * After a 401, the agent is asked for another token, and the request is sent once more if its body can be sent again. If
 * the agent binds the tokens of the client to a key, each request has a proof of the agent, and a request that is refused
 * for the nonce of its proof is sent once more.
 *
 * @param name - the client in the agent's configuration.
 * @param options - the socket, the scope, and the `fetch` to use.
 * @returns a `fetch`, also for the transports of the MCP SDKs. It throws an `AgentError`: `ERR_AGENT_NOT_ALLOWED` for a
 *   URL that is within no resource of the client, `ERR_AGENT_SCOPE` after a 403 for a scope that the configuration does
 *   not have.
 * @throws `TypeError` when an argument is not of its type.
 *
 * @example
 * ```ts
 * import { agentFetch } from '@countersign/agent'
 *
 * const fetch = agentFetch('billing')
 * const response = await fetch('https://api.example.com/invoices/42')
 * ```
 *
 * @see [RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)
 */
export function agentFetch(name: string, options: AgentFetchOptions = {}): Fetch {
  const { scope, fetch = globalThis.fetch, ...rest } = options
  const tokens = agentTokens(name, rest)

  /** The last nonce of each origin that demands one in its proofs. */
  const nonces = new Map<string, string>()

  function ask({ url, init }: Hop, refusedToken?: string): Promise<AgentHeaders> {
    const { method = 'GET', signal } = init
    const nonce = nonces.get(url.origin)
    return tokens.headers(url, { method, nonce, scope, refusedToken, signal: signal ?? undefined })
  }

  /** Sends a request with these headers, and with a new proof after a redirect. */
  async function sendOnce(first: Hop, authorization: AgentHeaders): Promise<Answered> {
    const sent = await followRedirects(fetch, first, async (hop) => {
      const isNew = hop !== first && isBound(authorization) && takesToken(hop, authorization)
      return authorized(hop, isNew ? await ask(hop) : authorization)
    })
    const nonce = sent.response.headers.get('dpop-nonce')
    const isOfResource = isBound(authorization) && takesToken(sent.hop, authorization)
    if (nonce !== null && isOfResource) nonces.set(sent.hop.url.origin, nonce)
    return sent
  }

  /** Sends a request, and once more if the resource asks for a nonce in the proof. */
  async function send(first: Hop, authorization: AgentHeaders): Promise<Answered> {
    const sent = await sendOnce(first, authorization)
    const { response, hop } = sent
    const needsNonce = (await refusalOfProof(response)) === 'use_dpop_nonce'
    if (!needsNonce || !nonces.has(hop.url.origin) || !isReplayable(hop.init.body)) return sent
    await response.body?.cancel()
    return sendOnce(hop, await ask(hop))
  }

  return async (input, init) => {
    const first = firstHop(input, init)
    const authorization = await ask(first)
    const { response, hop } = await send(first, authorization)
    if (!takesToken(hop, authorization)) return response
    if (response.status === 403) await requireScope(response)
    if (response.status !== 401 || (await refusalOfProof(response)) !== undefined) return response
    const refusedToken = authorization.headers['Authorization']?.replace(/^\S+ /, '')
    const other = await ask(hop, refusedToken).catch(async (error: unknown) => {
      await response.body?.cancel()
      throw error
    })
    const isSame = other.headers['Authorization'] === authorization.headers['Authorization']
    if (isSame || !isReplayable(hop.init.body)) return response
    await response.body?.cancel()
    return (await send(hop, other)).response
  }
}

/** How a resource refused a proof and not the token, RFC 9449 §7.1. */
async function refusalOfProof(response: Response): Promise<string | undefined> {
  if (response.status !== 401) return undefined
  const challenge = await tokenChallenge(response, ['dpop'])
  return ['use_dpop_nonce', 'invalid_dpop_proof'].find((error) => error === challenge?.error)
}

type Hop = ReturnType<typeof firstHop>
type Answered = Awaited<ReturnType<typeof followRedirects>>

const isBound = ({ headers }: AgentHeaders): boolean => headers['DPoP'] !== undefined

const takesToken = ({ url, leftOrigin }: Hop, { resource }: AgentHeaders): boolean =>
  !leftOrigin && isWithin(url, new URL(resource))

function authorized(hop: Hop, authorization: AgentHeaders): Headers {
  const headers = new Headers(hop.headers)
  for (const name of ['authorization', 'dpop']) headers.delete(name)
  if (!takesToken(hop, authorization)) return headers
  for (const [name, value] of Object.entries(authorization.headers)) headers.set(name, value)
  return headers
}

/** Refuses the response of a resource that asks for more scope: the configuration decides, so no other token helps. */
async function requireScope(response: Response): Promise<void> {
  const challenge = await tokenChallenge(response)
  if (challenge?.error !== 'insufficient_scope') return
  await response.body?.cancel()
  const { scope } = challenge
  const wanted = scope === undefined ? 'more scope' : `the scope ${JSON.stringify(sanitize(scope))}`
  throw new AgentError(
    'ERR_AGENT_SCOPE',
    `The resource asks for ${wanted}; add it to "scopes" of this client in the configuration of the agent`,
    { status: 403, error: 'insufficient_scope' },
  )
}
