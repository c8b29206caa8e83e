import { bearerChallenge } from './challenge.ts'
import type { Fetch } from './http.ts'
import type { HeldToken, Renewal } from './renewal.ts'

/** What stands behind a {@link bearerFetch}. */
export interface BearerFetchSettings {
  readonly fetch: Fetch
  readonly renewal: Renewal
  /** Tells whether the token belongs to a URL. */
  readonly covers: (url: URL) => boolean
}

interface Hop {
  readonly url: URL
  readonly init: RequestInit
  readonly headers: Headers
}

interface Call extends Hop {
  /** Whether the body can be sent a second time. */
  readonly replayable: boolean
}

interface Sent {
  readonly response: Response
  /** Whether the answer came from where the token was sent to. */
  readonly withToken: boolean
}

const mostRedirects = 20

/** Makes a `fetch` that attaches a token where it belongs, and answers one challenge with a renewal. */
export function bearerFetch({ fetch, renewal, covers }: BearerFetchSettings): Fetch {
  async function send(call: Call, token: HeldToken): Promise<Sent> {
    const follow = (call.init.redirect ?? 'follow') === 'follow'
    let hop: Hop = call
    for (let redirects = 0; ; redirects++) {
      const { url, init } = hop
      const withToken = covers(url)
      const headers = new Headers(hop.headers)
      if (withToken) headers.set('authorization', `Bearer ${token.response.access_token}`)
      else headers.delete('authorization')
      const response = await fetch(url, {
        ...init,
        headers,
        ...(follow ? { redirect: 'manual' } : {}),
      })
      const next = follow && redirects < mostRedirects ? redirected(response, hop, call) : undefined
      if (next === undefined) return { response, withToken }
      await response.body?.cancel()
      hop = next
    }
  }

  /** A newer token when the resource refused this one and another may help, else `undefined`. */
  async function renewed(
    { response, withToken }: Sent,
    token: HeldToken,
    call: Call,
  ): Promise<HeldToken | undefined> {
    if (!withToken) return undefined
    if (response.status !== 401 && response.status !== 403) {
      renewal.accepted()
      return undefined
    }
    const { status } = response
    if (!call.replayable) {
      if (status === 401) renewal.discard(token)
      return undefined
    }
    const challenge = await bearerChallenge(response)
    if (status === 403 && challenge?.error !== 'insufficient_scope') return undefined
    return renewal.replace(token, { status, scope: challenge?.scope }, call.init.signal)
  }

  return async (input, init) => {
    const call = describeCall(input, init)
    if (!covers(call.url)) return fetch(input, init)
    const token = await renewal.current(call.init.signal)
    const sent = await send(call, token)
    let better: HeldToken | undefined
    try {
      better = await renewed(sent, token, call)
    } catch (error) {
      await sent.response.body?.cancel()
      throw error
    }
    if (better === undefined) return sent.response
    await sent.response.body?.cancel()
    const again = await send(call, better)
    if (again.withToken && again.response.status !== 401 && again.response.status !== 403) {
      renewal.accepted()
    }
    return again.response
  }
}

function describeCall(input: string | URL | Request, init: RequestInit = {}): Call {
  const request = input instanceof Request ? input : undefined
  const ofRequest: RequestInit =
    request === undefined
      ? {}
      : {
          method: request.method,
          redirect: request.redirect,
          signal: request.signal,
          keepalive: request.keepalive,
          ...(request.body === null ? {} : { body: request.body, duplex: 'half' }),
        }
  const merged = { ...ofRequest, ...init }
  return {
    url: new URL(request?.url ?? String(input)),
    init: merged,
    headers: new Headers(init.headers ?? request?.headers),
    replayable: isReplayable(merged.body),
  }
}

function isReplayable(body: RequestInit['body']): boolean {
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

/** Where a response sends the request on to and how, as "HTTP-redirect fetch" of the Fetch standard has it. */
function redirected(response: Response, from: Hop, { replayable }: Call): Hop | undefined {
  const location = response.headers.get('location')
  const { status } = response
  if (![301, 302, 303, 307, 308].includes(status) || location === null) return undefined
  if (!URL.canParse(location, from.url.href)) return undefined
  const url = new URL(location, from.url)
  const headers = new Headers(from.headers)
  if (url.origin !== from.url.origin) {
    for (const name of ['cookie', 'host', 'proxy-authorization']) headers.delete(name)
  }
  const method = (from.init.method ?? 'GET').toUpperCase()
  const becomesGet =
    status === 303 ? method !== 'GET' && method !== 'HEAD' : status < 303 && method === 'POST'
  if (!becomesGet) return replayable ? { url, init: from.init, headers } : undefined
  for (const name of ['encoding', 'language', 'length', 'location', 'type']) {
    headers.delete(`content-${name}`)
  }
  const { body: _body, ...init } = from.init
  return { url, init: { ...init, method: 'GET' }, headers }
}
