import type { AuthorizationServer, Client } from 'oauth4webapi'

/** The client authentication methods there are here, by their registered names. */
export type ClientAuthenticationMethod =
  | 'private_key_jwt'
  | 'client_secret_basic'
  | 'client_secret_post'

/** What a {@link ClientAuthentication} is called with beside the request. */
export interface ClientAuthenticationOptions {
  /**
   * The issuer that the caller pinned. Metadata of another issuer is refused, and an assertion with any other audience
   * than the server is made only where there is a pin.
   */
  readonly issuer?: string | undefined
  /** Gives up waiting for the proof; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
  /** Told, once a proof is made by a key that may be replaced, how to go on should the server refuse it. */
  readonly onReplaceable?: ((replace: ReplaceKey) => void) | undefined
}

/**
 * Looks for the successor of the key that a refused proof was made with; `true` when the next proof will be made with
 * another one.
 */
export type ReplaceKey = (options?: {
  readonly signal?: AbortSignal | undefined
}) => Promise<boolean>

/**
 * Adds a client's proof of who it is to a request: a `ClientAuth` of `oauth4webapi` and `openid-client`,
 * that also says which method it is.
 *
 * It is called once for each request, retries included, and makes its proof anew each time.
 *
 * @see [RFC 6749 §2.3](https://www.rfc-editor.org/rfc/rfc6749#section-2.3)
 */
export interface ClientAuthentication {
  (
    as: AuthorizationServer,
    client: Client,
    body: URLSearchParams,
    headers: Headers,
    options?: ClientAuthenticationOptions,
  ): Promise<void>
  /** The `token_endpoint_auth_method` of the registry. */
  readonly method: ClientAuthenticationMethod
  /** The JWS algorithm of the proof, when it has one that is known by now. */
  readonly alg?: string | undefined
}

/** Gives a function that authenticates a client the name of its method, and of its algorithm if it has one. */
export function namedMethod(
  method: ClientAuthenticationMethod,
  authenticate: (...args: Parameters<ClientAuthentication>) => Promise<void>,
  alg?: () => string | undefined,
): ClientAuthentication {
  if (alg !== undefined) Object.defineProperty(authenticate, 'alg', { get: alg })
  return Object.freeze(Object.assign(authenticate, { method }))
}
