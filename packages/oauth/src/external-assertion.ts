import { ownOptions } from '@countersign/core/backend'
import {
  type ClientAuthentication,
  clientAuthentication,
  setAssertion,
} from './client-authentication.ts'
import { OAuthError } from './errors.ts'
import { requireAudience } from './server-checks.ts'

/** Options of {@link externalAssertion}. */
export interface ExternalAssertionOptions {
  /** Pins the authorization server: metadata of another issuer is refused before the assertion is requested. */
  readonly issuer?: string | undefined
  /** Also sends `client_id` in the body, for servers that require it; `false` by default. */
  readonly clientIdInBody?: boolean | undefined
}

const compactJws = /^[\w-]+\.([\w-]+)\.[\w-]+$/

/**
 * Authenticates a client by an assertion that is made elsewhere: by a sidecar, a broker, or the platform
 * that the program runs on.
 *
 * Unless an issuer is pinned, here or by {@link tokenSource}, the assertion's `aud` must be the issuer or the token
 * endpoint of the server that it is sent to. An assertion whose `aud` cannot be read is then not sent.
 *
 * @param provide - called for each request with the authorization server's issuer identifier; returns a signed JWT in
 *   compact serialization for that audience. `assertionProvider` of `@countersign/core` makes such functions.
 * @param options - a pinned issuer, and whether `client_id` goes into the body.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server does not list `private_key_jwt`, when `provide` does not return a signed JWT
 *   (`ERR_OAUTH_ASSERTION`) or returns one for another server (`ERR_OAUTH_AUDIENCE`), and whatever `provide` throws.
 * @throws `TypeError` when `provide` is not a function.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { externalAssertion } from '@countersign/oauth'
 *
 * const authentication = externalAssertion(async () => {
 *   const token = await readFile('/var/run/secrets/tokens/agent', 'utf8')
 *   return token.trim()
 * })
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export function externalAssertion(
  provide: (audience: string) => string | Promise<string>,
  options: ExternalAssertionOptions = {},
): ClientAuthentication {
  if (typeof provide !== 'function') throw new TypeError('the first argument must be a function')
  const { issuer, clientIdInBody = false } = ownOptions(options)
  return clientAuthentication(
    'private_key_jwt',
    async (request) => {
      const assertion: unknown = await provide(request.as.issuer)
      const parts = typeof assertion === 'string' ? compactJws.exec(assertion) : null
      if (parts === null) {
        throw new OAuthError(
          'ERR_OAUTH_ASSERTION',
          'The external assertion is not a signed JWT in compact serialization; nothing was sent. Fix the function that makes it',
        )
      }
      if (!request.isPinned) requireAudience(request.as, audienceOf(parts[1]))
      setAssertion(request, parts[0], clientIdInBody)
    },
    { issuer },
  )
}

/** The `aud` in the payload of a JWT; `undefined` if the payload cannot be read. */
function audienceOf(payload = ''): unknown {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    return (claims as { readonly aud?: unknown } | null)?.aud
  } catch {
    return undefined
  }
}
