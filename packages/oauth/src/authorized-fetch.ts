import { bearerChallenge } from './challenge.ts'
import type { Fetch } from './http.ts'
import { type Answered, firstHop, followRedirects, type Hop, isReplayable } from './redirects.ts'
import { isWithin } from './server-checks.ts'
import type { CachedToken, Refusal, TokenCache } from './token-cache.ts'

/** Settings of {@link authorizedFetch}. */
export interface AuthorizedFetchSettings {
  readonly fetch: Fetch
  readonly cache: TokenCache
  /** Whether the token may be sent to a URL. */
  readonly matches: (url: URL) => boolean
}

interface Sent extends Answered {
  readonly withToken: boolean
}

/**
 * Makes a `fetch` that attaches the token to requests that match, and answers one challenge with a renewal.
 *
 * Redirects are followed here, because the platform's `fetch` would send the token to any URL of the same origin.
 */
export function authorizedFetch({ fetch, cache, matches }: AuthorizedFetchSettings): Fetch {
  const takesToken = (hop: Hop) => matches(hop.url) && !hop.leftOrigin

  async function send(first: Hop, token: CachedToken): Promise<Sent> {
    const answered = await followRedirects(fetch, first, (hop) => {
      const headers = new Headers(hop.headers)
      if (takesToken(hop)) headers.set('authorization', `Bearer ${token.response.access_token}`)
      return headers
    })
    return { ...answered, withToken: takesToken(answered.hop) }
  }

  /** Reads how the resource refused the token; `undefined` if another token cannot help. */
  async function refusalIn({ response, withToken }: Sent): Promise<Refusal | undefined> {
    const { status } = response
    if (!withToken || (status !== 401 && status !== 403)) return undefined
    const challenge = await bearerChallenge(response)
    if (status === 403 && challenge?.error !== 'insufficient_scope') return undefined
    return { status, scope: challenge?.scope }
  }

  return async (input, init) => {
    const hop = firstHop(input, init)
    if (!matches(hop.url)) return fetch(input, init)
    const token = await cache.get(hop.init.signal)
    const sent = await send(hop, token)
    const refusal = await refusalIn(sent)
    if (refusal === undefined) return sent.response
    if (!isReplayable(sent.hop.init.body)) {
      if (refusal.status === 401) cache.discard(token)
      return sent.response
    }
    const another = await cache
      .replace(token, refusal, hop.init.signal)
      .catch(async (error: unknown) => {
        await sent.response.body?.cancel()
        throw error
      })
    if (another === undefined) return sent.response
    await sent.response.body?.cancel()
    // Only the refused request is repeated: the requests before it were answered with a redirect.
    const again = await send(sent.hop, another)
    if ((await refusalIn(again)) === undefined) cache.accepted(refusal)
    return again.response
  }
}

/**
 * Makes a function that tells whether a resource's token may be sent to a URL: to the resource's origin and path, see
 * {@link isWithin}, but not to the token endpoint or a well-known location below it.
 *
 * @param tokenEndpoint - returns the token endpoint as far as it is known.
 */
export function resourceMatcher(
  resource: URL,
  tokenEndpoint: () => string | undefined,
): (url: URL) => boolean {
  return (url) =>
    isWithin(url, resource) &&
    !/\/\.well-known(\/|$)/i.test(decodedPath(url)) &&
    !isEndpoint(url, tokenEndpoint())
}

function isEndpoint(url: URL, endpoint: string | undefined): boolean {
  if (endpoint === undefined || !URL.canParse(endpoint)) return false
  const other = new URL(endpoint)
  return url.origin === other.origin && decodedPath(url) === decodedPath(other)
}

/** The path as a server reads it that decodes the path and merges slashes. */
function decodedPath({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname).replace(/\/+/g, '/')
  } catch {
    return pathname
  }
}
