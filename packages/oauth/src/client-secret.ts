import { type ClientAuthentication, clientAuthentication } from './client-authentication.ts'

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
