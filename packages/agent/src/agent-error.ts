import { sanitize } from '@countersign/core/backend'

/**
 * Why an agent gave no answer, as a code for programs.
 *
 * | code | meaning |
 * |---|---|
 * | `ERR_AGENT_UNREACHABLE` | nothing listens on the socket, or the socket belongs to another user |
 * | `ERR_AGENT_TIMEOUT` | the agent did not answer in time |
 * | `ERR_AGENT_RESPONSE` | the answer is not one of an agent |
 * | `ERR_AGENT_CLIENT` | the agent's configuration has no such client |
 * | `ERR_AGENT_NOT_ALLOWED` | the configuration does not allow this audience, scope or resource |
 * | `ERR_AGENT_SCOPE` | the resource asks for a scope that the configuration does not have |
 * | `ERR_AGENT_REQUEST` | the request is malformed |
 * | `ERR_AGENT_AUDIT` | the audit log cannot be written, and the configuration says to refuse then |
 *
 * All other codes are those of `OAuthError` and `SignerError`.
 */
export type AgentErrorCode =
  | 'ERR_AGENT_UNREACHABLE'
  | 'ERR_AGENT_TIMEOUT'
  | 'ERR_AGENT_RESPONSE'
  | 'ERR_AGENT_CLIENT'
  | 'ERR_AGENT_NOT_ALLOWED'
  | 'ERR_AGENT_SCOPE'
  | 'ERR_AGENT_REQUEST'
  | 'ERR_AGENT_AUDIT'
  | (string & {})

/** Options of the constructor of {@link AgentError}. */
export interface AgentErrorOptions {
  /** HTTP status of the agent's answer. */
  readonly status?: number | undefined
  /** The authorization server's `error`, RFC 6749 §5.2. */
  readonly error?: string | undefined
  readonly retryable?: boolean | undefined
  readonly cause?: unknown
}

// Two copies of this package in one process must recognise each other's errors.
const brand = Symbol.for('@countersign/agent.AgentError')

/**
 * The agent could not be reached, or refused. No error contains an assertion or a token.
 *
 * @example
 * ```ts
 * import { AgentError, agentAssertion } from '@countersign/agent'
 *
 * try {
 *   await agentAssertion('billing')('https://as.example.com')
 * } catch (error) {
 *   if (AgentError.is(error) && error.code === 'ERR_AGENT_UNREACHABLE') {
 *     console.error('start the agent: countersign agent')
 *   }
 * }
 * ```
 *
 * @see [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)
 */
export class AgentError extends Error {
  readonly code: AgentErrorCode
  /** HTTP status of the agent's answer, if there was one. */
  readonly status: number | undefined
  /** The authorization server's `error`, such as `invalid_client`. */
  readonly error: string | undefined
  /** Whether the same request may succeed later. */
  readonly retryable: boolean

  constructor(code: AgentErrorCode, message: string, options: AgentErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = options.status
    this.error = options.error
    this.retryable = options.retryable ?? false
  }

  static {
    Object.defineProperty(AgentError.prototype, 'name', { value: 'AgentError' })
    Object.defineProperty(AgentError.prototype, brand, { value: true })
  }

  /** Tells whether a value is an {@link AgentError}, of this or another copy of the package. */
  static is(value: unknown): value is AgentError {
    return typeof value === 'object' && value !== null && brand in value
  }
}

/** Makes an error of the agent's problem document, RFC 9457. */
export function errorOf(status: number, body: unknown): AgentError {
  const members = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  const { code, detail, error, retryable } = members
  if (typeof code !== 'string' || typeof detail !== 'string') return unexpected(status)
  return new AgentError(
    /^ERR_[A-Z_]+$/.test(code) ? code : 'ERR_AGENT_RESPONSE',
    sanitize(detail),
    {
      status,
      error: typeof error === 'string' ? sanitize(error) : undefined,
      retryable: retryable === true,
    },
  )
}

/** The error for an answer that no agent gives. */
export function unexpected(status: number): AgentError {
  return new AgentError(
    'ERR_AGENT_RESPONSE',
    `The answer with HTTP status ${status} is not that of a Countersign agent; check which program listens on the socket`,
    { status },
  )
}
