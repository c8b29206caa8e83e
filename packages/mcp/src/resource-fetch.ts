import { type Fetch, OAuthError } from '@countersign/oauth'
import {
  backoff,
  bearerChallenge,
  boundedFetch,
  firstHop,
  followRedirects,
  isReplayable,
  isWithin,
  requireReachable,
  sameIssuer,
  sanitize,
  unlessAborted,
} from '@countersign/oauth/provider'
import type { Settings } from './client-credentials-options.ts'
import type { Binding, Bound, ResourceTokens } from './resource-tokens.ts'

/** What a {@link resourceFetch} uses. */
export interface ResourceFetchSettings extends Pick<Settings, 'fetch' | 'issuer' | 'now'> {
  readonly tokens: ResourceTokens
  /** Finds the authorization server of a resource that answered 401. */
  readonly discover: (url: URL, response: Response) => Promise<Binding>
  /** Whether it is one of the requests for a token that the SDK makes itself. */
  readonly isTokenRequest: (body: unknown) => boolean
}

type Input = string | URL | Request

/** Discoveries that may fail in a row before the next one is delayed. */
const freeFailures = 2

/** Makes the `fetch` of a provider, through which an SDK sends all its requests. */
export function resourceFetch(settings: ResourceFetchSettings): Fetch {
  const { fetch, issuer, now, tokens, discover, isTokenRequest } = settings
  // Calls that were refused together share one discovery.
  let discovering: Promise<Bound> | undefined
  let failure: unknown
  const failures = backoff(now)
  const moves = backoff(now)
  let server: URL | undefined

  async function find(url: URL, response: Response): Promise<Bound> {
    if (failures.tooEarly(freeFailures)) throw failure
    try {
      const found = await discover(url, response)
      failures.succeeded()
      return tokens.bind(found)
    } catch (error) {
      failure = error
      failures.failed(OAuthError.is(error) ? error.retryAfterSeconds : undefined)
      throw error
    }
  }

  /** Finds out whether a resource that refuses a new token has moved to another authorization server. */
  async function findAgain(url: URL, response: Response, refused: Bound): Promise<Bound> {
    if (moves.tooEarly()) throw tokenRefused(refused, 401)
    // Never reset: a resource that names another server each time would cost a signature each time.
    moves.failed()
    const found = await discover(url, response)
    if (isSame(found, refused)) throw tokenRefused(refused, 401)
    return tokens.bind(found)
  }

  /** The binding to use after a 401, which is not the one that was refused. */
  async function bindingAfter(
    url: URL,
    response: Response,
    refused: Bound | undefined,
    signal: AbortSignal | null | undefined,
  ): Promise<Bound> {
    const current = tokens.current()
    if (current !== undefined && current !== refused) return current
    discovering ??= (
      refused === undefined ? find(url, response) : findAgain(url, response, refused)
    ).finally(() => {
      discovering = undefined
    })
    return unlessAborted(discovering, signal)
  }

  /** Passes on a request of the SDK's own authorization flow, whose answer is bounded. */
  function sendUnauthorized(url: URL, input: Input, init: RequestInit | undefined) {
    const bounded = boundedFetch((_url, init) => fetch(input, init), 'ERR_OAUTH_INVALID_RESPONSE')
    // A redirect could lead to this machine, or take an assertion along.
    return bounded(url.href, { ...init, redirect: 'manual' })
  }

  async function sendWithoutToken(input: Input, init?: RequestInit): Promise<Response> {
    return (await followRedirects(fetch, firstHop(input, init))).response
  }

  return async (input, given) => {
    const url = new URL(input instanceof Request ? input.url : input)
    server ??= url
    const ofServer = isTokenRequest(given?.body) || isServerMetadata(url)
    requireReachable(url, 'address', (ofServer ? issuer : undefined) ?? server.origin)
    if (ofServer || isResourceMetadata(url)) return sendUnauthorized(url, input, given)

    const init = withoutToken(input, given)
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined)
    const current = tokens.current()
    if (current !== undefined && !covers(current, url)) return sendWithoutToken(input, init)
    const bound = await tokens.ready(signal)
    const again = input instanceof Request ? input.clone() : input
    const response = await (bound?.source.fetch ?? sendWithoutToken)(input, init)
    if (response.status !== 401) return requireAccepted(bound, response)
    try {
      const other = await bindingAfter(url, response, bound, signal)
      if (!covers(other, url) || !isReplayable(init?.body)) return response
      await response.body?.cancel()
      return await requireAccepted(other, await other.source.fetch(again, init))
    } catch (error) {
      await response.body?.cancel()
      throw error
    }
  }
}

/** Throws where the resource does not accept the token. An SDK would answer such a response with a flow of its own. */
async function requireAccepted(bound: Bound | undefined, response: Response): Promise<Response> {
  const { status } = response
  if (bound === undefined || (status !== 401 && status !== 403)) return response
  const challenge = await bearerChallenge(response)
  if (status === 403 && challenge?.error !== 'insufficient_scope') return response
  await response.body?.cancel()
  throw tokenRefused(bound, status, challenge?.scope)
}

function tokenRefused({ as, resource }: Bound, status: number, scope?: string): OAuthError {
  const asked = scope === undefined ? '' : ` and asks for the scope ${sanitize(scope)}`
  return new OAuthError(
    'ERR_OAUTH_TOKEN_REFUSED',
    `The resource ${sanitize(resource)} answers with HTTP status ${status} to the token that ${sanitize(as.issuer)} issued for it${asked}; no other was asked for`,
    { status },
  )
}

function isSame(one: Binding, other: Binding): boolean {
  return (
    sameIssuer(one.as.issuer, other.as.issuer) &&
    one.as.token_endpoint === other.as.token_endpoint &&
    one.resource === other.resource
  )
}

function covers({ resource }: Bound, url: URL): boolean {
  return isWithin(url, new URL(resource))
}

function isResourceMetadata({ pathname }: URL): boolean {
  return pathname.startsWith('/.well-known/oauth-protected-resource')
}

function isServerMetadata(url: URL): boolean {
  return url.pathname.includes('/.well-known/') && !isResourceMetadata(url)
}

/** Removes the token that the SDK adds to every request, redirected ones included. It is added later where it belongs. */
function withoutToken(input: Input, init?: RequestInit): RequestInit | undefined {
  const headers = new Headers(
    init?.headers ?? (input instanceof Request ? input.headers : undefined),
  )
  if (!/^bearer /i.test(headers.get('authorization') ?? '')) return init
  headers.delete('authorization')
  return { ...init, headers }
}
