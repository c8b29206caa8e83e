import { OAuthError } from './error.ts'

/** The shape of `fetch` as far as it is used here. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

const largestBody = 1024 * 1024

/**
 * Wraps a `fetch` for requests to metadata and token endpoints: bodies are read to the end at once and up to 1 MiB.
 *
 * Servers that are not trusted yet are on the other side.
 */
export function boundedFetch(fetch: Fetch): (url: string, init: object) => Promise<Response> {
  return async (url, init) => {
    const response = await fetch(url, init)
    if (response.body === null) return response
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength
      if (size > largestBody) {
        throw new OAuthError('ERR_OAUTH_INVALID_RESPONSE', 'The answer is larger than 1 MiB')
      }
      chunks.push(chunk)
    }
    const { status, statusText, headers } = response
    return new Response(Buffer.concat(chunks), { status, statusText, headers })
  }
}

/** Names what `fetch` threw: the caller's own errors as they are, a deadline, or an unreachable server. */
export function describeFetchError(error: unknown, signal: AbortSignal, what: string): unknown {
  if (OAuthError.is(error)) return error
  if (signal.aborted) {
    return new OAuthError('ERR_OAUTH_TIMEOUT', `The ${what} did not answer in time`)
  }
  return new OAuthError('ERR_OAUTH_UNAVAILABLE', `The ${what} cannot be reached`, { cause: error })
}

/** Seconds that an answer asks to be left alone, RFC 9110 §10.2.3. */
export function retryAfterSeconds(response: Response, now: number): number | undefined {
  const value = response.headers.get('retry-after')
  if (value === null) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value)
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000)
}
