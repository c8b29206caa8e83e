import { SignerError } from '@countersign/core'
import { sanitize } from '@countersign/core/backend'
import { OAuthError } from '@countersign/oauth'

/** A request that the agent refuses. */
export class RequestRefused extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }

  static {
    Object.defineProperty(RequestRefused.prototype, 'name', { value: 'RequestRefused' })
  }
}

/** 404 for a client that is not configured. The name comes from the caller, so it is not repeated. */
export const unknownClient = (): RequestRefused =>
  new RequestRefused(
    404,
    'ERR_AGENT_CLIENT',
    "The agent's configuration has no client of this name; GET /clients lists them",
  )

/** 403 for what the configuration does not allow. */
export const notAllowed = (detail: string): RequestRefused =>
  new RequestRefused(403, 'ERR_AGENT_NOT_ALLOWED', detail)

/** 400 for a malformed request. */
export const malformed = (detail: string, status = 400): RequestRefused =>
  new RequestRefused(status, 'ERR_AGENT_REQUEST', detail)

/** A problem document, RFC 9457. */
export interface Problem {
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly error?: string
  readonly error_description?: string
  readonly retryable?: boolean
}

const titles: Readonly<Record<number, string>> = {
  400: 'The request is malformed',
  403: 'The configuration does not allow this',
  404: 'Not found',
  405: 'The method is not allowed',
  413: 'The request is too large',
  415: 'The request is not JSON',
  500: 'An error in the agent',
  502: 'The authorization server or the key refused',
  503: 'Not available now',
  504: 'No answer in time',
}

/** Describes any error as a problem document. No problem contains an assertion, a token or a PIN. */
export function problemOf(error: unknown): Problem {
  if (error instanceof RequestRefused) return problem(error.status, error.code, error.message)
  if (OAuthError.is(error)) {
    const { code, message, retryable } = error
    const status = code === 'ERR_OAUTH_TIMEOUT' ? 504 : retryable ? 503 : 502
    return {
      ...problem(status, code, message),
      ...(error.error === undefined ? {} : { error: sanitize(error.error) }),
      ...(error.error_description === undefined
        ? {}
        : { error_description: sanitize(error.error_description) }),
      retryable,
    }
  }
  if (SignerError.is(error)) {
    const { code, message, retryable } = error
    const status = code === 'ERR_SIGNER_TIMEOUT' ? 504 : retryable ? 503 : 502
    return { ...problem(status, code, message), retryable }
  }
  // Its text may be anything.
  return problem(500, 'ERR_AGENT_INTERNAL', 'The agent has an error; its own output may say more')
}

function problem(status: number, code: string, detail: string): Problem {
  return { title: titles[status] ?? 'Refused', status, detail: sanitize(detail), code }
}
