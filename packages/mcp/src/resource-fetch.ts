import type { Fetch } from '@countersign/oauth'
import { bearerChallenge, isWithin, unlessAborted } from '@countersign/oauth/provider'
import type { Binding, Bound, TokenHolder } from './token-holder.ts'

/** What stands behind a {@link resourceFetch}. */
export interface ResourceFetchSettings {
  readonly fetch: Fetch
  readonly holder: TokenHolder
  /** Learns from a 401 where tokens are to be had; `undefined` leaves that to the SDK. */
  readonly discover: (url: URL, response: Response) => Promise<Binding | undefined>
  /** Whether it is one of the requests for a token that the SDK makes itself. */
  readonly isTokenRequest: (body: unknown) => boolean
  /** Told of the scope of a challenge that is left to the SDK. */
  readonly challenged: (scope: string | undefined) => void
}

/** Makes the `fetch` of a provider, through which the SDK sends all its requests. */
export function resourceFetch(settings: ResourceFetchSettings): Fetch {
  const { fetch, holder, discover, isTokenRequest, challenged } = settings
  // Callers that were refused for the want of a token share one discovery.
  let joining: Promise<Bound | undefined> | undefined

  async function join(url: URL, response: Response): Promise<Bound | undefined> {
    try {
      const found = await discover(url, response)
      return found && holder.bind(found)
    } finally {
      joining = undefined
    }
  }

  async function send(bound: Bound, input: Input, init?: RequestInit): Promise<Response> {
    const response = await bound.source.fetch(input, init)
    const { status } = response
    const wantsScope =
      status === 403 && (await bearerChallenge(response))?.error === 'insufficient_scope'
    holder.answered(bound, status === 403 && !wantsScope ? 200 : status)
    return response
  }

  return async (input, given) => {
    const url = new URL(input instanceof Request ? input.url : input)
    if (url.pathname.includes('/.well-known/') || isTokenRequest(given?.body)) {
      return fetch(input, given)
    }
    const init = withoutToken(input, given)
    const bound = holder.current()
    if (bound !== undefined && !covers(bound, url)) return fetch(input, init)
    const again = input instanceof Request ? input.clone() : input
    const response = await (bound === undefined ? fetch(input, init) : send(bound, input, init))
    if (response.status !== 401) return response
    if (bound !== undefined && bound === holder.current()) {
      if (!bound.isOld()) return response
      // The resource may have moved to another authorization server since it was last asked.
      holder.unbind()
    }
    try {
      const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined)
      let joined = holder.current()
      if (joined === undefined) {
        joining ??= join(url, response)
        joined = await unlessAborted(joining, signal)
      }
      if (joined && covers(joined, url) && !(init?.body instanceof ReadableStream)) {
        await response.body?.cancel()
        return await send(joined, again, init)
      }
    } catch (error) {
      await response.body?.cancel()
      throw error
    }
    challenged((await bearerChallenge(response))?.scope)
    return response
  }
}

type Input = string | URL | Request

function covers({ resource }: Bound, url: URL): boolean {
  return isWithin(url, new URL(resource))
}

/** The SDK puts the token into every request, those along a redirect included; where it belongs it is added later. */
function withoutToken(input: Input, init?: RequestInit): RequestInit | undefined {
  const headers = new Headers(
    init?.headers ?? (input instanceof Request ? input.headers : undefined),
  )
  if (!/^bearer /i.test(headers.get('authorization') ?? '')) return init
  headers.delete('authorization')
  return { ...init, headers }
}
