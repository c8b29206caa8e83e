import type { CachedToken } from './cached-token.ts'
import { bearerChallenge } from './challenge.ts'
import type { Fetch } from './http.ts'
import { type Hop, isReplayable, redirected } from './redirect.ts'
import type { Refusal, Renewal } from './renewal.ts'

/** What stands behind a {@link bearerFetch}. */
export interface BearerFetchSettings {
  readonly fetch: Fetch
  readonly renewal: Renewal
  /** Tells whether the token belongs to a URL. */
  readonly covers: (url: URL) => boolean
}

interface Sent {
  readonly response: Response
  /** The last of the requests, the one that was answered. */
  readonly hop: Hop
  readonly withToken: boolean
}

const mostRedirects = 20

/** Makes a `fetch` that attaches a token where it belongs, and answers one challenge with a renewal. */
export function bearerFetch({ fetch, renewal, covers }: BearerFetchSettings): Fetch {
  async function send(from: Hop, token: CachedToken): Promise<Sent> {
    // Followed by hand: `fetch` by itself would take the token along to wherever it is sent on the same origin.
    const follow = (from.init.redirect ?? 'follow') === 'follow'
    let hop = from
    for (let redirects = 0; ; redirects++) {
      const { url, init } = hop
      const withToken = covers(url) && !hop.strayed
      const headers = new Headers(hop.headers)
      if (withToken) headers.set('authorization', `Bearer ${token.response.access_token}`)
      const response = await fetch(url, {
        ...init,
        headers,
        ...(follow ? { redirect: 'manual' } : {}),
      })
      const next = follow && redirects < mostRedirects ? redirected(response, hop) : undefined
      if (next === undefined) return { response, hop, withToken }
      await response.body?.cancel()
      hop = next
    }
  }

  /** How the resource refused the token, if another may help. */
  async function refusalOf({ response, withToken }: Sent): Promise<Refusal | undefined> {
    const { status } = response
    if (!withToken || (status !== 401 && status !== 403)) return undefined
    const challenge = await bearerChallenge(response)
    if (status === 403 && challenge?.error !== 'insufficient_scope') return undefined
    return { status, scope: challenge?.scope }
  }

  return async (input, init) => {
    const hop = firstHop(input, init)
    if (!covers(hop.url)) return fetch(input, init)
    const token = await renewal.current(hop.init.signal)
    const sent = await send(hop, token)
    const refusal = await refusalOf(sent)
    if (refusal === undefined) return sent.response
    if (!isReplayable(sent.hop.init.body)) {
      if (refusal.status === 401) renewal.discard(token)
      return sent.response
    }
    const another = await renewal
      .replace(token, refusal, hop.init.signal)
      .catch(async (error: unknown) => {
        await sent.response.body?.cancel()
        throw error
      })
    if (another === undefined) return sent.response
    await sent.response.body?.cancel()
    // From where it was refused: what came before was done.
    const again = await send(sent.hop, another)
    if ((await refusalOf(again)) === undefined) renewal.helped(refusal)
    return again.response
  }
}

function firstHop(input: string | URL | Request, init: RequestInit = {}): Hop {
  // As for `fetch`, a member that is undefined is not there.
  const given = Object.entries(init).filter(([, value]) => value !== undefined)
  const request = input instanceof Request ? input : undefined
  return {
    url: new URL(request?.url ?? String(input)),
    init: { ...(request && initOf(request)), ...Object.fromEntries(given) },
    headers: new Headers(init.headers ?? request?.headers),
    strayed: false,
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
