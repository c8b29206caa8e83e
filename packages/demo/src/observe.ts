import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { SignMessage } from '@countersign/core'
import type { Fetch } from '@countersign/oauth'

/** A request of the client, and the response to it. */
export interface Exchange {
  readonly method: string
  readonly url: URL
  /** The parameters of the form in the request's body. */
  readonly form: Readonly<Record<string, string>> | undefined
  /** Whether the request had an access token. */
  readonly bearer: boolean
  readonly status: number
  /** Response headers. */
  readonly headers: Headers
  /** Response body, when it is JSON. */
  readonly body: unknown
}

/** A `fetch` that records each exchange. */
export function observedFetch(): { readonly fetch: Fetch; readonly exchanges: Exchange[] } {
  const exchanges: Exchange[] = []
  return {
    exchanges,
    async fetch(input, init) {
      const request = input instanceof Request ? input : undefined
      const sent = new Headers(init?.headers ?? request?.headers)
      // Copied before the request, because the caller may change the form afterwards.
      const form = init?.body instanceof URLSearchParams ? Object.fromEntries(init.body) : undefined
      const response = await fetch(input, init)
      const { status, headers } = response
      const isJson = headers.get('content-type')?.startsWith('application/json')
      exchanges.push({
        method: init?.method ?? request?.method ?? 'GET',
        url: new URL(request?.url ?? input.toString()),
        form,
        bearer: sent.has('authorization'),
        status,
        headers,
        body: isJson ? await response.clone().json() : undefined,
      })
      return response
    },
  }
}

/** Records the signatures of one key, as the signer publishes them, until `stop` is called. */
export function observeSignatures(kid: string): {
  readonly signatures: SignMessage[]
  readonly stop: () => void
} {
  const signatures: SignMessage[] = []
  const listener = (message: unknown) => {
    const signature = message as SignMessage
    if (signature.kid === kid) signatures.push(signature)
  }
  subscribe('countersign:sign', listener)
  return { signatures, stop: () => void unsubscribe('countersign:sign', listener) }
}
