import { sanitize, unlessAborted } from '@countersign/core/backend'
import { originOf } from './authorization-server.ts'
import { OAuthError, type OAuthErrorCode } from './error.ts'

/** The shape of `fetch` as far as it is used here. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

const largestBody = 1024 * 1024

/**
 * Wraps a `fetch` for requests to metadata and token endpoints: bodies are read to the end at once and up to 1 MiB.
 *
 * Servers that are not trusted yet are on the other side.
 *
 * @param tooLarge - the code of the error for a larger body.
 */
export function boundedFetch(
  fetch: Fetch,
  tooLarge: OAuthErrorCode,
): (url: string, init: object) => Promise<Response> {
  return async (url, init) => {
    const response = await fetch(url, init)
    if (response.body === null) return response
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength
      if (size > largestBody) {
        throw new OAuthError(
          tooLarge,
          `The answer of ${originOf(new URL(url))} is larger than 1 MiB`,
        )
      }
      chunks.push(chunk)
    }
    const { status, statusText, headers } = response
    return new Response(Buffer.concat(chunks), { status, statusText, headers })
  }
}

/** Fetches metadata from one of its well-known locations, or from where a challenge says that it is. */
export function requestMetadata(fetch: Fetch, url: URL, signal: AbortSignal): Promise<Response> {
  const headers = { accept: 'application/json' }
  const bounded = boundedFetch(fetch, 'ERR_OAUTH_DISCOVERY')
  const response = bounded(url.href, { headers, redirect: 'manual', signal })
  // The caller's `fetch` may ignore the signal.
  return unlessAborted(response, signal).catch((error) => {
    throw describeFetchError(error, signal, `metadata at ${originOf(url)}`)
  })
}

/** Names what `fetch` threw: an abort's own reason, a deadline, or a server that cannot be reached. */
export function describeFetchError(
  error: unknown,
  signal: AbortSignal,
  what: string,
  secrets: readonly string[] = [],
): unknown {
  if (OAuthError.is(error)) return error
  if (!signal.aborted) {
    const cause = plainError(error, secrets)
    return new OAuthError('ERR_OAUTH_UNAVAILABLE', `The ${what} cannot be reached`, { cause })
  }
  const { reason } = signal
  return reason instanceof DOMException && reason.name === 'TimeoutError'
    ? new OAuthError('ERR_OAUTH_TIMEOUT', `The ${what} did not answer in time`)
    : reason
}

/**
 * Name, message and code of an error and its causes, and nothing else: HTTP libraries hang requests and half-read
 * responses on their errors, with the secrets in them.
 */
function plainError(error: unknown, secrets: readonly string[], depth = 3): unknown {
  if (!(error instanceof Error)) return undefined
  const { name, message, cause } = error
  const { code } = error as { readonly code?: unknown }
  const inner = depth > 0 ? plainError(cause, secrets, depth - 1) : undefined
  const plain = new Error(
    sanitize(message, secrets),
    inner === undefined ? undefined : { cause: inner },
  )
  plain.name = name
  return typeof code === 'string' ? Object.assign(plain, { code }) : plain
}

/**
 * How long a response asks the client to wait, RFC 9110 §10.2.3: seconds, or an HTTP date.
 *
 * `undefined` for a header that cannot be read. The caller's own delay is the least there is in any case.
 */
export function retryAfterSeconds(response: Response, now: number): number | undefined {
  const value = response.headers.get('retry-after')
  if (value === null) return undefined
  if (/^\d+(\.\d+)?$/.test(value)) return Math.min(Number(value), Number.MAX_SAFE_INTEGER)
  // `Date.parse` by itself takes "-5" and "1.5 s" for dates of 2001.
  if (!/^[A-Z][a-z]{2,8}, /.test(value)) return undefined
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000)
}
