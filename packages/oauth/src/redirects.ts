import type { Fetch } from './http.ts'
import { leadsToLoopback } from './server-checks.ts'

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
  headersOf: (hop: Hop) => Headers = ({ headers }) => headers,
): Promise<Answered> {
  const follow = (first.init.redirect ?? 'follow') === 'follow'
  let hop = first
  for (let redirects = 0; ; redirects++) {
    const response = await fetch(hop.url, {
      ...hop.init,
      headers: headersOf(hop),
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
    for (const name of ['authorization', 'cookie', 'host', 'proxy-authorization']) {
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
