import type { DpopSession, Fetch } from '@countersign/oauth'
import { type Dpop, firstHop, sendWithToken } from '@countersign/oauth/internal'
import { isTokenRequest } from './authorized-fetch.ts'

/** Settings of {@link dpopFetch}. */
export interface DpopFetchSettings {
  readonly fetch: Fetch
  readonly dpop: Dpop
  /** The session for token requests; none if the server gets no proof. */
  readonly sessionInUse: () => DpopSession | undefined
  /** Authenticates a token request again. */
  readonly authenticate: (headers: Headers, params: URLSearchParams, url: URL) => Promise<void>
  /** Whether a token is bound to the key of the session. */
  readonly isBound: (token: string) => Promise<boolean>
}

/**
 * Makes a `fetch` for SDK v1, which does not know DPoP: it adds a proof to token requests, and sends tokens that are
 * bound to the key with a proof. It changes no request that has a proof already.
 */
export function dpopFetch(settings: DpopFetchSettings): Fetch {
  const { fetch, dpop, sessionInUse, authenticate, isBound } = settings
  const { session } = dpop

  async function sendTokenRequest(url: URL, init: RequestInit, params: URLSearchParams) {
    const send = async (given: Headers, body: URLSearchParams) => {
      const headers = new Headers(given)
      const { signal } = init
      headers.set('dpop', await session.buildProof({ htm: 'POST', htu: url, signal }))
      const response = await fetch(url, { ...init, headers, body, redirect: 'manual' })
      return { response, hasNonce: session.observeNonce(response, url) }
    }
    const { response, hasNonce } = await send(new Headers(init.headers), params)
    if (!hasNonce || response.status !== 400 || !(await asksForNonce(response))) return response
    await response.body?.cancel()
    // The first assertion may have been used up by the refused request.
    const headers = new Headers(init.headers)
    const again = new URLSearchParams(params)
    await authenticate(headers, again, url)
    return (await send(headers, again)).response
  }

  return async (input, init = {}) => {
    const first = firstHop(input, init)
    const { url, headers } = first
    if (headers.has('dpop')) return fetch(input, init)
    if (isTokenRequest(init.body)) {
      return sessionInUse() === undefined
        ? fetch(input, init)
        : sendTokenRequest(url, init, init.body)
    }
    const accessToken = /^bearer +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1]
    if (accessToken === undefined || !(await isBound(accessToken))) return fetch(input, init)
    const takesToken = ({ leftOrigin }: { readonly leftOrigin: boolean }) => !leftOrigin
    return (await sendWithToken(first, { fetch, accessToken, session, takesToken })).response
  }
}

async function asksForNonce(response: Response): Promise<boolean> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  return (body as { readonly error?: unknown } | undefined)?.error === 'use_dpop_nonce'
}
