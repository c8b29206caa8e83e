import { ownOptions } from '@countersign/core/backend'
import {
  requireAdvertised,
  requireAudience,
  requirePinnedIssuer,
  requireSecureUrl,
} from './authorization-server.ts'
import { type ClientAuthentication, namedMethod } from './client-authentication.ts'
import { OAuthError } from './error.ts'
import { setAssertion } from './private-key-jwt.ts'

/** Options of {@link externalAssertion}. */
export interface ExternalAssertionOptions {
  /** Pins the authorization server: metadata of any other issuer is refused before an assertion is asked for. */
  readonly issuer?: string | undefined
  /** Also sends `client_id` in the body, for servers that demand it; `false` by default. */
  readonly clientIdInBody?: boolean | undefined
}

const compactJws = /^[\w-]+\.([\w-]+)\.[\w-]+$/

/**
 * Authenticates a client by an assertion that is made elsewhere: by a sidecar, a broker, or the platform
 * that the program runs on.
 *
 * Unless an issuer is pinned, here or by {@link tokenSource}, the assertion's `aud` must be the issuer or the token
 * endpoint of the server that it is sent to, and an assertion whose `aud` cannot be read is not sent.
 *
 * @param provide - is called for each request with the authorization server's issuer identifier, and returns a
 *   signed JWT in compact serialization for that audience. `assertionProvider` of `@countersign/core` makes such functions.
 * @param options - a pin on the issuer, and whether `client_id` goes into the body.
 * @returns a `ClientAuth` for `oauth4webapi` and `openid-client`, and for {@link tokenSource}. It throws an
 *   {@link OAuthError} when the server does not admit `private_key_jwt`, when what `provide` returns is not a
 *   signed JWT (`ERR_OAUTH_ASSERTION`) or is for another server (`ERR_OAUTH_AUDIENCE`); what `provide` throws is passed
 *   on.
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
  return namedMethod('private_key_jwt', async (as, client, body, _headers, given = {}) => {
    const isPinned = requirePinnedIssuer(as, issuer, ownOptions(given).issuer)
    requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: as.issuer })
    requireAdvertised(as, 'private_key_jwt')
    const assertion: unknown = await provide(as.issuer)
    const parts = typeof assertion === 'string' ? compactJws.exec(assertion) : null
    if (parts === null) {
      throw new OAuthError(
        'ERR_OAUTH_ASSERTION',
        'The external assertion is not a signed JWT in compact serialization; nothing was sent',
      )
    }
    if (!isPinned) requireAudience(as, audienceIn(parts[1]))
    setAssertion(body, parts[0], clientIdInBody ? client.client_id : undefined)
  })
}

/** The `aud` of a JWT whose payload can be read, and nothing of any other. */
function audienceIn(payload = ''): unknown {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    return (claims as { readonly aud?: unknown } | null)?.aud
  } catch {
    return undefined
  }
}
