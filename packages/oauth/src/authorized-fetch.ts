import type { DpopSession } from './dpop.ts'
import { type Fetch, type TokenChallenge, type TokenScheme, tokenChallenge } from './http.ts'
import { isWithin, leadsToLoopback } from './server-checks.ts'
import type { CachedToken, Refusal, TokenCache } from './token-cache.ts'

/** Settings of {@link authorizedFetch}. */
export interface AuthorizedFetchSettings {
  readonly fetch: Fetch
  readonly cache: TokenCache
  /** Makes the proofs for a token that is bound to its key. */
  readonly session: DpopSession | undefined
  /** Whether the token may be sent to a URL. */
  readonly matches: (url: URL) => boolean
}

/**
 * Makes a `fetch` that attaches the token to requests that match, and answers one challenge with a renewal.
 *
 * Redirects are followed here, because the platform's `fetch` would send the token to any URL of the same origin.
 */
export function authorizedFetch(settings: AuthorizedFetchSettings): Fetch {
  const { fetch, cache, matches, session } = settings
  const takesToken = (hop: Hop) => matches(hop.url) && !hop.leftOrigin

  function send(first: Hop, { response }: CachedToken): Promise<Sent> {
    const { access_token: accessToken, token_type: type } = response
    const isBound = type.toLowerCase() === 'dpop'
    return sendWithToken(first, {
      ...{ fetch, accessToken, takesToken },
      session: isBound ? session : undefined,
    })
  }

  /** Reads how the resource refused the token; `undefined` if another token cannot help. */
  async function refusalIn({ response, withToken }: Sent): Promise<Refusal | undefined> {
    const { status } = response
    if (!withToken || (status !== 401 && status !== 403)) return undefined
    const challenge = await tokenChallenge(response, tokenSchemes(session))
    if (status === 403 && challenge?.error !== 'insufficient_scope') return undefined
    if (proofRefusal(challenge, session) !== undefined) return undefined
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

/** Settings of {@link sendWithToken}. */
export interface SendSettings {
  readonly fetch: Fetch
  readonly accessToken: string
  /** Makes the proofs; left out for a bearer token. */
  readonly session: DpopSession | undefined
  readonly takesToken: (hop: Hop) => boolean
}

/** A response, and whether its request had the token. */
export interface Sent extends Answered {
  readonly withToken: boolean
}

/**
 * Sends a request with a token and follows redirects. It sends the request once more if the resource asks for a nonce in
 * the proof, RFC 9449 §9.
 */
export async function sendWithToken(first: Hop, settings: SendSettings): Promise<Sent> {
  const sent = await sendOnce(first, settings)
  const { response, hop, withToken } = sent
  if (!withToken || settings.session?.observeNonce(response, hop.url) !== true) return sent
  if (response.status !== 401 || !isReplayable(hop.init.body)) return sent
  const challenge = await tokenChallenge(response, tokenSchemes(settings.session))
  if (challenge?.error !== 'use_dpop_nonce') return sent
  await response.body?.cancel()
  const again = await sendOnce(hop, settings)
  if (again.withToken) settings.session.observeNonce(again.response, again.hop.url)
  return again
}

async function sendOnce(
  first: Hop,
  { fetch, accessToken, session, takesToken }: SendSettings,
): Promise<Sent> {
  const answered = await followRedirects(fetch, first, async (hop) => {
    const headers = new Headers(hop.headers)
    if (!takesToken(hop)) return headers
    headers.set('authorization', `${session === undefined ? 'Bearer' : 'DPoP'} ${accessToken}`)
    const { method: htm = 'GET', signal } = hop.init
    const proof = await session?.buildProof({ htm, htu: hop.url, accessToken, signal })
    if (proof !== undefined) headers.set('dpop', proof)
    return headers
  })
  return { ...answered, withToken: takesToken(answered.hop) }
}

/** The challenges that concern a client, first those for its tokens: a resource may answer any token with either scheme. */
export function tokenSchemes(session: DpopSession | undefined): readonly TokenScheme[] {
  return session === undefined ? ['bearer', 'dpop'] : ['dpop', 'bearer']
}

/**
 * Tells whether a resource refused the proof of a request and not its token, RFC 9449 §7.1, so that another token cannot
 * help.
 *
 * @returns `missing` if the resource wants a proof and the client makes none, `refused` if it does not accept the proof.
 */
export function proofRefusal(
  challenge: TokenChallenge | undefined,
  session: DpopSession | undefined,
): 'missing' | 'refused' | undefined {
  if (challenge === undefined) return undefined
  const { error, schemes } = challenge
  if (session === undefined) return schemes.includes('bearer') ? undefined : 'missing'
  return error === 'use_dpop_nonce' || error === 'invalid_dpop_proof' ? 'refused' : undefined
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

/** One request of a chain of redirects. */
export interface Hop {
  readonly url: URL
  readonly init: RequestInit
  readonly headers: Headers
  /** Whether a redirect has led to another origin, which then chose the URL. */
  readonly leftOrigin: boolean
}

/** A response, and the request of the chain that it answers. */
export interface Answered {
  readonly response: Response
  readonly hop: Hop
}

const maxRedirects = 20

/**
 * Sends a request and follows redirects as `fetch` does, but not from another machine to this one.
 *
 * @param headersOf - returns the headers of each request.
 */
export async function followRedirects(
  fetch: Fetch,
  first: Hop,
  headersOf: (hop: Hop) => Headers | Promise<Headers> = ({ headers }) => headers,
): Promise<Answered> {
  const follow = (first.init.redirect ?? 'follow') === 'follow'
  let hop = first
  for (let redirects = 0; ; redirects++) {
    const response = await fetch(hop.url, {
      ...hop.init,
      headers: await headersOf(hop),
      ...(follow ? { redirect: 'manual' } : {}),
    })
    const next = follow && redirects < maxRedirects ? redirected(response, hop) : undefined
    if (next === undefined) return { response, hop }
    await response.body?.cancel()
    hop = next
  }
}

/** The first request, from the arguments of `fetch`. */
export function firstHop(input: string | URL | Request, init: RequestInit = {}): Hop {
  // As in `fetch`, a member that is undefined counts as missing.
  const given = Object.entries(init).filter(([, value]) => value !== undefined)
  const request = input instanceof Request ? input : undefined
  return {
    url: new URL(request?.url ?? String(input)),
    init: { ...(request && initOf(request)), ...Object.fromEntries(given) },
    headers: new Headers(init.headers ?? request?.headers),
    leftOrigin: false,
  }
}

function initOf(request: Request): RequestInit {
  const { method, redirect, signal, keepalive, integrity, cache, credentials, mode } = request
  const { referrer, referrerPolicy, body } = request
  return {
    ...{ method, redirect, signal, keepalive, integrity, cache, credentials, mode },
    ...{ referrer, referrerPolicy },
    ...(body === null ? {} : { body, duplex: 'half' }),
  } as RequestInit
}

/**
 * Makes the request that follows a redirect, as "HTTP-redirect fetch" of the Fetch standard does; `undefined` when the
 * response is not a redirect, or one that cannot be followed, such as from another machine to this one.
 *
 * @see [Fetch §4.4](https://fetch.spec.whatwg.org/#http-redirect-fetch)
 */
function redirected(response: Response, hop: Hop): Hop | undefined {
  const { url: from, init } = hop
  const location = response.headers.get('location')
  const { status } = response
  if (![301, 302, 303, 307, 308].includes(status) || location === null) return undefined
  if (!URL.canParse(location, from.href)) return undefined
  const url = new URL(location, from)
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    return undefined
  }
  if (leadsToLoopback(url, from)) return undefined
  const headers = new Headers(hop.headers)
  const leftOrigin = hop.leftOrigin || url.origin !== from.origin
  if (url.origin !== from.origin) {
    for (const name of ['authorization', 'cookie', 'dpop', 'host', 'proxy-authorization']) {
      headers.delete(name)
    }
  }
  const method = (init.method ?? 'GET').toUpperCase()
  const becomesGet =
    status === 303 ? method !== 'GET' && method !== 'HEAD' : status < 303 && method === 'POST'
  if (!becomesGet) return isReplayable(init.body) ? { url, init, headers, leftOrigin } : undefined
  for (const name of ['encoding', 'language', 'length', 'location', 'type']) {
    headers.delete(`content-${name}`)
  }
  const { body: _body, ...withoutBody } = init
  return { url, init: { ...withoutBody, method: 'GET' }, headers, leftOrigin }
}

/** Whether a body can be sent a second time. */
export function isReplayable(body: RequestInit['body']): boolean {
  return (
    body === undefined ||
    body === null ||
    typeof body === 'string' ||
    body instanceof URLSearchParams ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body) ||
    body instanceof Blob ||
    body instanceof FormData
  )
}
