/**
 * Why no access token was obtained, as a code for programs.
 *
 * | code | meaning | signature made |
 * |---|---|---|
 * | `ERR_OAUTH_DISCOVERY` | the metadata is missing or malformed | no |
 * | `ERR_OAUTH_ISSUER_MISMATCH` | the metadata, or the resource, names another authorization server | no |
 * | `ERR_OAUTH_INSECURE_ENDPOINT` | an endpoint is neither https nor on loopback, or another machine names it on loopback | no |
 * | `ERR_OAUTH_METHOD_NOT_ADVERTISED` | the server does not list the authentication method | no |
 * | `ERR_OAUTH_ALG_NOT_ADVERTISED` | the server does not list the signing algorithm | no |
 * | `ERR_OAUTH_RESOURCE_MISMATCH` | the resource metadata is another resource's | no |
 * | `ERR_OAUTH_AUDIENCE` | the assertion would be for another server, and no issuer is pinned | no |
 * | `ERR_OAUTH_ASSERTION` | an assertion or token from elsewhere is missing, is not a signed JWT, or is not the one that was requested | – |
 * | `ERR_OAUTH_RESPONSE` | the server refused, with its `error` and `error_description` | yes |
 * | `ERR_OAUTH_TOKEN_REFUSED` | the resource refuses the token that was just issued for it | no |
 * | `ERR_OAUTH_INVALID_RESPONSE` | the response is not a token response | yes |
 * | `ERR_OAUTH_TOKEN_TYPE` | the token is bound to a key or not, other than requested | yes |
 * | `ERR_OAUTH_UNAVAILABLE` | no connection, 5xx or 429 | perhaps |
 * | `ERR_OAUTH_TIMEOUT` | the deadline passed | perhaps |
 */
export type OAuthErrorCode =
  | 'ERR_OAUTH_DISCOVERY'
  | 'ERR_OAUTH_ISSUER_MISMATCH'
  | 'ERR_OAUTH_INSECURE_ENDPOINT'
  | 'ERR_OAUTH_METHOD_NOT_ADVERTISED'
  | 'ERR_OAUTH_ALG_NOT_ADVERTISED'
  | 'ERR_OAUTH_RESOURCE_MISMATCH'
  | 'ERR_OAUTH_AUDIENCE'
  | 'ERR_OAUTH_ASSERTION'
  | 'ERR_OAUTH_RESPONSE'
  | 'ERR_OAUTH_TOKEN_REFUSED'
  | 'ERR_OAUTH_INVALID_RESPONSE'
  | 'ERR_OAUTH_TOKEN_TYPE'
  | 'ERR_OAUTH_UNAVAILABLE'
  | 'ERR_OAUTH_TIMEOUT'

/** Options of the constructor of {@link OAuthError}. */
export interface OAuthErrorOptions {
  /** The server's `error`, RFC 6749 §5.2. */
  readonly error?: string | undefined
  /** The server's `error_description`, RFC 6749 §5.2. */
  readonly error_description?: string | undefined
  /** HTTP status of the server's response. */
  readonly status?: number | undefined
  /** Seconds that the server asked the client to wait, from `Retry-After`. */
  readonly retryAfterSeconds?: number | undefined
  readonly cause?: unknown
}

// Two copies of this package in one process must recognise each other's errors.
const brand = Symbol.for('@countersign/oauth.OAuthError')

/**
 * An access token could not be obtained, or was not requested because a check failed.
 *
 * The server's `error` and `error_description` are in the members of these names. No error contains an assertion, a
 * secret or a token.
 *
 * @example
 * ```ts
 * import { OAuthError, type TokenSource } from '@countersign/oauth'
 *
 * declare const source: TokenSource
 *
 * try {
 *   await source.token()
 * } catch (error) {
 *   if (OAuthError.is(error) && error.error === 'invalid_client') {
 *     console.error('register the public key:', error.error_description)
 *   }
 * }
 * ```
 *
 * @see [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)
 */
export class OAuthError extends Error {
  readonly code: OAuthErrorCode
  /** The server's `error`, such as `invalid_client`. */
  readonly error: string | undefined
  /** The server's `error_description`. */
  readonly error_description: string | undefined
  /** HTTP status of the server's response, if there was one. */
  readonly status: number | undefined
  /** Seconds that the server asked the client to wait, if it did. */
  readonly retryAfterSeconds: number | undefined
  /** Whether the same request may succeed later. */
  readonly retryable: boolean

  constructor(code: OAuthErrorCode, message: string, options: OAuthErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.error = options.error
    this.error_description = options.error_description
    this.status = options.status
    this.retryAfterSeconds = options.retryAfterSeconds
    this.retryable = code === 'ERR_OAUTH_UNAVAILABLE' || code === 'ERR_OAUTH_TIMEOUT'
  }

  static {
    Object.defineProperty(OAuthError.prototype, 'name', { value: 'OAuthError' })
    Object.defineProperty(OAuthError.prototype, brand, { value: true })
  }

  /** Tells whether a value is an {@link OAuthError}, of this or another copy of the package. */
  static is(value: unknown): value is OAuthError {
    return typeof value === 'object' && value !== null && brand in value
  }
}
