import { ownOptions } from '@countersign/core/backend'
import type { AuthorizationServer, Client } from 'oauth4webapi'
import type { DpopSession } from './dpop.ts'
import { requireAdvertised, requirePinnedIssuer, requireTokenEndpoint } from './server-checks.ts'

/** The client authentication methods of this package, by their registered names. */
export type ClientAuthenticationMethod =
  | 'private_key_jwt'
  | 'spiffe_jwt'
  | 'attest_jwt_client_auth'
  | 'attest_jwt_client_auth_dpop'
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'none'

/** Options of a call of a {@link ClientAuthentication}. */
export interface ClientAuthenticationOptions {
  /**
   * The issuer that the caller pinned. Metadata of another issuer is refused. Only with a pin may the audience of an
   * assertion be another one than the server.
   */
  readonly issuer?: string | undefined
  /** Stops waiting for the signature; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
  /** The thumbprint of a DPoP key, which `privateKeyJwt` names in the assertion as `cnf.jkt`. */
  readonly jkt?: string | undefined
  /** The session that makes the DPoP proof of the request. */
  readonly session?: DpopSession | undefined
  /**
   * Called with the function that reads the response to the request. It returns whether the request may be accepted when
   * it is authenticated again.
   */
  readonly onResponse?: ((read: (response: Response) => boolean) => void) | undefined
  /** Called when a rotating signer has signed, with the function to call if the server refuses the signature. */
  readonly onReplaceable?: ((replace: ReplaceKey) => void) | undefined
}

/**
 * Loads the successor of the key whose signature a server refused. It resolves with `true` if the next assertion will
 * be signed by another key.
 */
export type ReplaceKey = (options?: {
  readonly signal?: AbortSignal | undefined
}) => Promise<boolean>

/**
 * Authenticates a client in a request: a `ClientAuth` of `oauth4webapi` and `openid-client` that also names its method.
 *
 * Call it once for each request, retries included. Assertions are made for one request.
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
  /** The registered `token_endpoint_auth_method`. */
  readonly method: ClientAuthenticationMethod
  /** The JWS algorithm of the assertion; `undefined` for a secret, or while it is not known. */
  readonly alg?: string | undefined
}

/** One request to authenticate, for a server that was checked. */
export interface CheckedRequest extends Omit<ClientAuthenticationOptions, 'issuer'> {
  readonly as: AuthorizationServer
  readonly client: Client
  readonly body: URLSearchParams
  readonly headers: Headers
  /** Whether the server's issuer is pinned. */
  readonly isPinned: boolean
}

/**
 * Makes a client authentication from a function that adds the credentials.
 *
 * @param authenticate - called after the server's issuer, token endpoint and authentication methods were checked.
 * @param options - the pinned issuer, and a function that returns the algorithm of the next assertion.
 */
export function clientAuthentication(
  method: ClientAuthenticationMethod,
  authenticate: (request: CheckedRequest) => Promise<void>,
  options: { readonly issuer?: string | undefined; alg?(): string | undefined } = {},
): ClientAuthentication {
  const { issuer, alg } = ownOptions(options)
  const authentication = async (
    ...[as, client, body, headers, given = {}]: Parameters<ClientAuthentication>
  ) => {
    const { issuer: pin, ...others } = ownOptions(given)
    const isPinned = requirePinnedIssuer(as, issuer, pin)
    requireTokenEndpoint(as)
    requireAdvertised(as, method)
    await authenticate({ as, client, body, headers, isPinned, ...others })
  }
  if (alg !== undefined) Object.defineProperty(authentication, 'alg', { get: alg })
  return Object.freeze(Object.assign(authentication, { method }))
}

/** A secret, or a function that is called for it at each request. */
export type Secret = string | (() => string | Promise<string>)

/**
 * Authenticates a client by its secret in the `Authorization` header.
 *
 * Client identifier and secret are form-encoded before they are joined, as RFC 6749 specifies, so that each
 * may contain any character.
 *
 * @param secret - the secret, or a function that returns it.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server does not list `client_secret_basic`.
 * @throws `TypeError` when `secret` is neither a non-empty string nor a function.
 *
 * @example
 * ```ts
 * import { clientSecretBasic } from '@countersign/oauth'
 *
 * const authentication = clientSecretBasic(() => process.env['CLIENT_SECRET'] ?? '')
 * ```
 *
 * @see [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)
 */
export function clientSecretBasic(secret: Secret): ClientAuthentication {
  const read = secretReader(secret)
  return clientAuthentication('client_secret_basic', async ({ client, headers }) => {
    const credentials = `${formEncode(client.client_id)}:${formEncode(await read())}`
    headers.set('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`)
  })
}

/**
 * Authenticates a client by its secret in the body of the request.
 *
 * @param secret - the secret, or a function that returns it.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server does not list `client_secret_post`.
 * @throws `TypeError` when `secret` is neither a non-empty string nor a function.
 *
 * @example
 * ```ts
 * import { clientSecretPost } from '@countersign/oauth'
 *
 * const authentication = clientSecretPost(() => process.env['CLIENT_SECRET'] ?? '')
 * ```
 *
 * @see [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)
 */
export function clientSecretPost(secret: Secret): ClientAuthentication {
  const read = secretReader(secret)
  return clientAuthentication('client_secret_post', async ({ client, body }) => {
    body.set('client_id', client.client_id)
    body.set('client_secret', await read())
  })
}

function secretReader(secret: Secret): () => Promise<string> {
  if (typeof secret !== 'function' && (typeof secret !== 'string' || secret === '')) {
    throw new TypeError('"secret" must be a non-empty string or a function that returns one')
  }
  return async () => {
    const value: unknown = typeof secret === 'function' ? await secret() : secret
    if (typeof value !== 'string' || value === '') {
      throw new TypeError('the client secret must be a non-empty string')
    }
    return value
  }
}

function formEncode(value: string): string {
  return new URLSearchParams([['', value]]).toString().slice(1)
}
