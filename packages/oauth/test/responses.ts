import type { Fetch } from '@countersign/oauth'

/** Answers every request with a status, and perhaps with JSON. */
export const answer =
  (status: number, body?: unknown, headers?: HeadersInit): Fetch =>
  async () =>
    new Response(body === undefined ? null : JSON.stringify(body), {
      status,
      ...(headers && { headers }),
    })

/** Fails as `fetch` does when there is no connection. */
export const unreachable: Fetch = async () => {
  throw new TypeError('fetch failed')
}

/** Never answers. */
export const never: Fetch = () => new Promise(() => {})

/** An answer whose 1,048,577 octets are one too many. */
export const large: Fetch = async () => new Response('x'.repeat(1024 * 1024 + 1))
