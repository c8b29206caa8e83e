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
 * After a 401, the agent is asked for another token, and the request is sent once more if its body can be sent again.
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

  return async (input, init) => {
    const first = firstHop(input, init)
    const signal = first.init.signal ?? undefined
    const authorization = await tokens.headers(first.url, { scope, signal })
    const sent = await followRedirects(fetch, first, (hop) => authorized(hop, authorization))
    const { response, hop } = sent
    if (response.status === 403 && takesToken(hop, authorization)) await requireScope(response)
    if (response.status !== 401 || !takesToken(hop, authorization)) return response
    const refusedToken = authorization.headers['Authorization']?.replace(/^\S+ /, '')
    const other = await tokens
      .headers(hop.url, { scope, signal, refusedToken })
      .catch(async (error: unknown) => {
        await response.body?.cancel()
        throw error
      })
    const isSame = other.headers['Authorization'] === authorization.headers['Authorization']
    if (isSame || !isReplayable(hop.init.body)) return response
    await response.body?.cancel()
    return (await followRedirects(fetch, hop, (next) => authorized(next, other))).response
  }
}

type Hop = ReturnType<typeof firstHop>

const takesToken = ({ url, leftOrigin }: Hop, { resource }: AgentHeaders): boolean =>
  !leftOrigin && isWithin(url, new URL(resource))

function authorized(hop: Hop, authorization: AgentHeaders): Headers {
  const headers = new Headers(hop.headers)
  headers.delete('authorization')
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
