// @ts-check
import { subscribe, unsubscribe } from 'node:diagnostics_channel'

/**
 * One request of the client and what came back.
 *
 * @typedef {object} Exchange
 * @property {string} method
 * @property {URL} url
 * @property {boolean} bearer  whether it carried an access token
 * @property {number} status
 * @property {Headers} headers  of the answer
 * @property {unknown} body  of the answer, when it is JSON
 */

/**
 * A `fetch` that keeps what goes through it.
 *
 * @returns {{ fetch: import('@countersign/oauth').Fetch, exchanges: Exchange[] }}
 */
export function observedFetch() {
  /** @type {Exchange[]} */
  const exchanges = []
  return {
    exchanges,
    async fetch(input, init) {
      const request = input instanceof Request ? input : undefined
      const sent = new Headers(init?.headers ?? request?.headers)
      const response = await fetch(input, init)
      const { status, headers } = response
      const isJson = headers.get('content-type')?.startsWith('application/json')
      exchanges.push({
        method: init?.method ?? request?.method ?? 'GET',
        url: new URL(request?.url ?? input.toString()),
        bearer: sent.has('authorization'),
        status,
        headers,
        body: isJson ? await response.clone().json() : undefined,
      })
      return response
    },
  }
}

/**
 * Keeps what the signer of this key reports of its signatures, until told to stop.
 *
 * @param {string} kid
 * @returns {{ signatures: import('@countersign/core').SignMessage[], stop: () => void }}
 */
export function observeSignatures(kid) {
  /** @type {import('@countersign/core').SignMessage[]} */
  const signatures = []
  const listen = (/** @type {unknown} */ message) => {
    const reported = /** @type {import('@countersign/core').SignMessage} */ (message)
    if (reported.kid === kid) signatures.push(reported)
  }
  subscribe('countersign:sign', listen)
  return { signatures, stop: () => void unsubscribe('countersign:sign', listen) }
}
