import { setTimeout as sleep } from 'node:timers/promises'
import { sanitize } from '@countersign/core/backend'
import { processRevocationResponse, WWWAuthenticateChallengeError } from 'oauth4webapi'
import { OAuthError, type OAuthErrorCode } from './errors.ts'
import { originOf } from './server-checks.ts'

/** The part of the platform's `fetch` that is used here. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

const maxOctets = 1024 * 1024

/**
 * Wraps a `fetch` for requests to metadata and token endpoints, whose servers may not be trusted yet: it reads each
 * body to its end, and refuses one that is larger than 1 MiB.
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
    let octets = 0
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      octets += chunk.byteLength
      if (octets > maxOctets) {
        throw new OAuthError(
          tooLarge,
          `The response of ${originOf(new URL(url))} is larger than 1 MiB`,
        )
      }
      chunks.push(chunk)
    }
    const { status, statusText, headers } = response
    return new Response(Buffer.concat(chunks), { status, statusText, headers })
  }
}

/**
 * Describes what `fetch` threw: the caller's reason for an abort, a timeout, or a server that cannot be reached.
 *
 * @param what - names what was requested.
 * @param secrets - removed from the messages of the cause.
 */
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
 * Copies name, message and code of an error and its causes. HTTP libraries put the request and partial responses on
 * their errors, with the secrets in them.
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

/** Tells whether the same request may succeed later. */
export function isTransient(status: number): boolean {
  return status === 429 || status >= 500
}

/**
 * The seconds that a response asks the client to wait, as a number or an HTTP date, RFC 9110 §10.2.3.
 *
 * @returns `undefined` without the header, or when it is malformed.
 */
export function retryAfterSeconds(response: Response, now: number): number | undefined {
  const value = response.headers.get('retry-after') ?? ''
  if (/^\d+(\.\d+)?$/.test(value)) return Math.min(Number(value), Number.MAX_SAFE_INTEGER)
  // `Date.parse` alone reads "-5" and "1.5 s" as dates in 2001.
  if (!/^[A-Z][a-z]{2,8}, /.test(value)) return undefined
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000)
}

/** How a resource refuses a token, RFC 6750 §3, RFC 9449 §7.1 and RFC 9728 §5.1. */
export interface TokenChallenge {
  readonly error: string | undefined
  readonly scope: string | undefined
  /** The URL of the resource's metadata. */
  readonly resourceMetadata: string | undefined
  /** The schemes that the resource names, of those that were asked for. */
  readonly schemes: readonly TokenScheme[]
}

/** Authentication schemes of access tokens, RFC 6750 and RFC 9449. */
export type TokenScheme = 'bearer' | 'dpop'

/**
 * Reads the challenges for an access token in `WWW-Authenticate`, as one.
 *
 * @param schemes - which challenges; a parameter of the first one that has it is used.
 * @returns `undefined` if the response has none of them.
 */
export async function tokenChallenge(
  response: Response,
  schemes: readonly TokenScheme[] = ['bearer'],
): Promise<TokenChallenge | undefined> {
  const header = response.headers.get('www-authenticate')
  if (header === null) return undefined
  // The library exports no parser, but each function that reads a response throws the challenges of a 401.
  const carrier = new Response(null, { status: 401, headers: { 'www-authenticate': header } })
  const thrown = await processRevocationResponse(carrier).catch((error: unknown) => error)
  if (!(thrown instanceof WWWAuthenticateChallengeError)) return undefined
  const { cause } = thrown
  const found = schemes.flatMap((wanted) => cause.filter(({ scheme }) => scheme === wanted))
  if (found.length === 0) return undefined
  const first = (name: 'error' | 'scope' | 'resource_metadata') =>
    found.find(({ parameters }) => parameters[name] !== undefined)?.parameters[name]
  return {
    error: first('error'),
    scope: first('scope'),
    resourceMetadata: first('resource_metadata'),
    schemes: schemes.filter((wanted) => found.some(({ scheme }) => scheme === wanted)),
  }
}

/** Limits of {@link retry}. */
export interface RetryLimits {
  /** Attempts after the first. */
  readonly retries: number
  /** The time for all attempts; the caller ends them when it is over. */
  readonly timeoutSeconds: number
  /** Aborts when no caller waits any longer. */
  readonly abandoned: AbortSignal
}

/** Repeats requests that failed because the server was unavailable. */
export async function retry<T>(attempt: () => Promise<T>, limits: RetryLimits): Promise<T> {
  const { retries, timeoutSeconds, abandoned: signal } = limits
  const start = performance.now()
  for (let left = retries, delaySeconds = 0.25; ; left--, delaySeconds *= 2) {
    try {
      return await attempt()
    } catch (error) {
      if (left === 0 || !OAuthError.is(error) || error.code !== 'ERR_OAUTH_UNAVAILABLE') throw error
      const jitter = Math.random()
      const own = delaySeconds * (0.5 + jitter / 2)
      // At least the client's own delay. The jitter spreads clients that were told the same number of seconds.
      const wait = Math.max(own, (error.retryAfterSeconds ?? 0) * (1 + jitter / 4))
      const secondsLeft = timeoutSeconds - (performance.now() - start) / 1000
      // The attempt after the wait needs time as well.
      if (wait > secondsLeft / 2) throw error
      // This timer keeps the process alive, because a caller waits.
      await sleep(wait * 1000, undefined, { signal }).catch(() => {
        throw error
      })
    }
  }
}
