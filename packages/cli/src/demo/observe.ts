import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { SignMessage } from '@countersign/core'
import type { Fetch } from '@countersign/oauth'

/** One request of the client and what came back. */
export interface Exchange {
  readonly method: string
  readonly url: URL
  /** The parameters of a form that was sent. */
  readonly form: Readonly<Record<string, string>> | undefined
  /** Whether it carried an access token. */
  readonly bearer: boolean
  readonly status: number
  /** Of the answer. */
  readonly headers: Headers
  /** Of the answer, when it is JSON. */
  readonly body: unknown
}

/** A `fetch` that keeps what goes through it. */
export function observedFetch(): { readonly fetch: Fetch; readonly exchanges: Exchange[] } {
  const exchanges: Exchange[] = []
  return {
    exchanges,
    async fetch(input, init) {
      const request = input instanceof Request ? input : undefined
      const sent = new Headers(init?.headers ?? request?.headers)
      // Read now: what is sent may be changed afterwards.
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

/** Keeps what the signer of this key reports of its signatures, until told to stop. */
export function observeSignatures(kid: string): {
  readonly signatures: SignMessage[]
  readonly stop: () => void
} {
  const signatures: SignMessage[] = []
  const listen = (message: unknown) => {
    const reported = message as SignMessage
    if (reported.kid === kid) signatures.push(reported)
  }
  subscribe('countersign:sign', listen)
  return { signatures, stop: () => void unsubscribe('countersign:sign', listen) }
}
