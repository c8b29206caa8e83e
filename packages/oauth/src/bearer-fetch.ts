import type { CachedToken } from './cached-token.ts'
import { bearerChallenge } from './challenge.ts'
import type { Fetch } from './http.ts'
import { type Answered, firstHop, followRedirects, type Hop, isReplayable } from './redirect.ts'
import type { Refusal, Renewal } from './renewal.ts'

/** What stands behind a {@link bearerFetch}. */
export interface BearerFetchSettings {
  readonly fetch: Fetch
  readonly renewal: Renewal
  /** Tells whether the token belongs to a URL. */
  readonly covers: (url: URL) => boolean
}

interface Sent extends Answered {
  readonly withToken: boolean
}

/** Makes a `fetch` that attaches a token where it belongs, and answers one challenge with a renewal. */
export function bearerFetch({ fetch, renewal, covers }: BearerFetchSettings): Fetch {
  // A redirect may lead away, and back to the origin, where the token must not go along.
  const takesToken = (hop: Hop) => covers(hop.url) && !hop.strayed

  async function send(from: Hop, token: CachedToken): Promise<Sent> {
    const sent = await followRedirects(fetch, from, (hop) => {
      const headers = new Headers(hop.headers)
      if (takesToken(hop)) headers.set('authorization', `Bearer ${token.response.access_token}`)
      return headers
    })
    return { ...sent, withToken: takesToken(sent.hop) }
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
