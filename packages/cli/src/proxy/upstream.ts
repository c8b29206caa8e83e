import { setTimeout as sleep } from 'node:timers/promises'
import { SignerError } from '@countersign/core'
import { backoff, stopwatch } from '@countersign/core/backend'
import { type Fetch, OAuthError } from '@countersign/oauth'

/** Whether the server has seen a request that failed. */
export type Fate = 'not sent' | 'refused' | 'unknown'

/** A request that got no response, or not the whole of it. */
export class UpstreamError extends Error {
  readonly fate: Fate

  constructor(fate: Fate, message: string, cause?: unknown) {
    super(message, { cause })
    this.fate = fate
  }

  static {
    Object.defineProperty(UpstreamError.prototype, 'name', { value: 'UpstreamError' })
  }
}

/** Options of {@link openUpstream}. */
export interface UpstreamOptions {
  readonly url: URL
  /** Authorizes and sends requests. */
  readonly fetch: Fetch
  /** How long a request waits for a server that cannot be reached. */
  readonly timeoutSeconds: number
  /** Describes an error in one line. */
  readonly describe: (error: unknown) => string
  /** Tells the user something, in one line. */
  readonly notice: (line: string) => void
}

/** Sends requests to the MCP server. */
export interface Upstream {
  /**
   * Sends a request. While no server can have seen it, it is sent again, with increasing delays.
   *
   * @param patient - whether to wait without a bound.
   * @throws {@link UpstreamError}; the signal's reason when it aborts.
   */
  send(init: RequestInit & { signal: AbortSignal }, patient?: boolean): Promise<Response>
}

const pollMs = 100

/** Makes the {@link Upstream} of an MCP server. */
export function openUpstream(options: UpstreamOptions): Upstream {
  const { url, fetch, timeoutSeconds, describe, notice } = options
  const delay = backoff(Date.now)
  let isDown = false

  function failed(error: unknown, reason: string): void {
    // Requests that fail together count as one failure.
    if (!delay.tooEarly()) delay.failed(OAuthError.is(error) ? error.retryAfterSeconds : 0)
    if (!isDown) notice(`${reason}; waiting for it`)
    isDown = true
  }

  function succeeded(): void {
    delay.succeeded()
    if (isDown) notice('The MCP server answers again')
    isDown = false
  }

  return {
    async send(init, patient = false) {
      const elapsed = stopwatch(Date.now)
      const isLate = () => !patient && elapsed() >= timeoutSeconds * 1000
      for (;;) {
        while (delay.tooEarly() && !isLate()) await sleep(pollMs, undefined, init)
        try {
          const response = await fetch(url, init)
          succeeded()
          return response
        } catch (error) {
          init.signal.throwIfAborted()
          const fate = fateOf(error)
          const reason = describe(error)
          // A GET request changes nothing, so it may be sent twice.
          if (fate === 'unknown' && init.method !== 'GET')
            throw new UpstreamError(fate, reason, error)
          if (!isTransient(error) || isLate()) throw new UpstreamError(fate, reason, error)
          failed(error, reason)
        }
      }
    },
  }
}

/** The members of errors of Node.js and undici. */
interface Thrown {
  readonly code?: unknown
  readonly syscall?: unknown
  readonly message?: unknown
  readonly cause?: unknown
  readonly errors?: unknown
}

/** An error for which the provider says whether another attempt may help. */
interface Retryable {
  readonly code?: unknown
  readonly retryable?: unknown
}

/** Whether the server can have seen the request. Errors of the authorization say that it refused it, or never got it. */
function fateOf(error: unknown): Fate {
  const { code } = (error ?? {}) as Retryable
  if (code === 'ERR_OAUTH_TOKEN_REFUSED' || code === 'ERR_AGENT_SCOPE') return 'refused'
  if (OAuthError.is(error)) return 'not sent'
  if (isAuthorizationError(error) || isBeforeRequest(error)) return 'not sent'
  return 'unknown'
}

const isAuthorizationError = (error: unknown): boolean =>
  SignerError.is(error) || /^ERR_AGENT_/.test(String((error as Retryable | undefined)?.code))

/** Whether a connection failed before anything was written to it. */
function isBeforeRequest(error: unknown, depth = 5): boolean {
  if (typeof error !== 'object' || error === null || depth === 0) return false
  const { code, syscall, message, cause, errors } = error as Thrown
  if (Array.isArray(errors) && errors.length > 0) {
    return errors.every((one) => isBeforeRequest(one, depth - 1))
  }
  return (
    syscall === 'connect' ||
    syscall === 'getaddrinfo' ||
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    isCertificateError(code) ||
    /^Proxy response \(\d+\)|before secure TLS connection was established/.test(String(message)) ||
    isBeforeRequest(cause, depth - 1)
  )
}

const isCertificateError = (code: unknown): boolean =>
  /^(?:CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(String(code))

/** Whether the same request may succeed later. */
function isTransient(error: unknown, depth = 5): boolean {
  if (OAuthError.is(error)) {
    return error.code === 'ERR_OAUTH_UNAVAILABLE' || error.code === 'ERR_OAUTH_TIMEOUT'
  }
  if (isAuthorizationError(error)) return (error as Retryable).retryable === true
  const { code, cause } = (error ?? {}) as Thrown
  return (
    !isCertificateError(code) &&
    (depth === 0 || cause === undefined || isTransient(cause, depth - 1))
  )
}
