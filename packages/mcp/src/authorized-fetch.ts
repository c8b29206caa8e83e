import type { Fetch } from '@countersign/oauth'
import {
  boundedFetch,
  type Dpop,
  firstHop,
  followRedirects,
  isReplayable,
  isWithin,
  proofRefusal,
  requireReachable,
  type TokenChallenge,
  tokenChallenge,
  tokenSchemes,
} from '@countersign/oauth/internal'
import { type ResourceTokens, type TargetSource, tokenRefused } from './resource-tokens.ts'

/** Settings of {@link authorizedFetch}. */
export interface AuthorizedFetchSettings {
  readonly fetch: Fetch
  readonly tokens: ResourceTokens
  readonly dpop: Dpop | undefined
  /** The URL of the MCP server; by default that of the first request. */
  readonly serverUrl: URL | undefined
}

type Input = string | URL | Request

/**
 * Makes the `fetch` of a provider: it discovers the authorization server when the MCP server answers 401, attaches the
 * token to requests to the MCP server and to no others, and answers one challenge with a new token.
 */
export function authorizedFetch(settings: AuthorizedFetchSettings): Fetch {
  const { fetch, tokens, dpop, serverUrl } = settings
  const schemes = tokenSchemes(dpop?.session)
  let server = serverUrl

  /** Sends a request of an SDK's own authorization flow. */
  function sendForFlow(url: URL, input: Input, init: RequestInit | undefined) {
    const bounded = boundedFetch((_url, init) => fetch(input, init), 'ERR_OAUTH_INVALID_RESPONSE')
    // A redirect could lead to this machine, or take an assertion along.
    return bounded(url.href, { ...init, redirect: 'manual' })
  }

  async function sendWithoutToken(input: Input, init?: RequestInit): Promise<Response> {
    return (await followRedirects(fetch, firstHop(input, init))).response
  }

  /** Throws if the resource refused the token. An SDK would answer such a response with a flow of its own. */
  async function requireAccepted(
    used: TargetSource | undefined,
    response: Response,
  ): Promise<Response> {
    const { status } = response
    if (used === undefined || (status !== 401 && status !== 403)) return response
    const challenge = await tokenChallenge(response, schemes)
    if (status === 403 && challenge?.error !== 'insufficient_scope') return response
    await response.body?.cancel()
    throw tokenRefused(used, status, challenge?.scope, adviceOn(challenge))
  }

  /** What to do about a refusal that no other token can prevent; `undefined` for any other. */
  function adviceOn(challenge: TokenChallenge | undefined): string | undefined {
    const refusal = proofRefusal(challenge, dpop?.session)
    return refusal && proofAdvice[refusal]
  }

  return async (input, given) => {
    const url = new URL(input instanceof Request ? input.url : input)
    server ??= url
    // The provider has checked the token endpoint when it authenticated the request.
    if (isTokenRequest(given?.body)) return sendForFlow(url, input, given)
    requireReachable(url, 'address', server.origin)
    if (url.pathname.includes('/.well-known/')) return sendForFlow(url, input, given)

    const init = withoutToken(input, given)
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined)
    const current = tokens.current()
    if (current !== undefined && !covers(current, url)) return sendWithoutToken(input, init)
    const used = await tokens.ready(signal)
    const again = input instanceof Request ? input.clone() : input
    const response = await (used?.source.fetch ?? sendWithoutToken)(input, init)
    const isFinal = adviceOn(await tokenChallenge(response, schemes)) !== undefined
    if (response.status !== 401 || (used !== undefined && isFinal)) {
      return requireAccepted(used, response)
    }
    try {
      const other = await tokens.afterRefusal(url, response, used, signal)
      if (!covers(other, url) || !isReplayable(init?.body)) return response
      await response.body?.cancel()
      return await requireAccepted(other, await other.source.fetch(again, init))
    } catch (error) {
      await response.body?.cancel()
      throw error
    }
  }
}

const proofAdvice = {
  missing: 'it accepts only tokens that are bound to a key; set the option "dpop"',
  refused:
    'it refuses the DPoP proof, and not the token; compare the clocks, and the URL of the request with the one that the server has for itself',
} as const

function covers({ resource }: TargetSource, url: URL): boolean {
  return isWithin(url, new URL(resource))
}

/** MCP requests have a JSON body, token requests a form. */
export function isTokenRequest(body: unknown): body is URLSearchParams {
  return body instanceof URLSearchParams && body.has('grant_type')
}

/** Removes the token, and its proof, that an SDK attaches to every request, redirected ones included. */
function withoutToken(input: Input, init?: RequestInit): RequestInit | undefined {
  const headers = new Headers(
    init?.headers ?? (input instanceof Request ? input.headers : undefined),
  )
  if (!headers.get('authorization')?.match(/^(?:bearer|dpop) /i)) return init
  headers.delete('authorization')
  headers.delete('dpop')
  return { ...init, headers }
}
