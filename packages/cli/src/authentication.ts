import { type Signer, spkiThumbprint } from '@countersign/core'
import {
  type ClientAuthentication,
  type PrivateKeyJwtOptions,
  privateKeyJwt,
} from '@countersign/oauth'
import { limitScope, uniteScopes } from '@countersign/oauth/provider'
import type { AuthenticationOptions } from './client-options.ts'

/** How an assertion is made, in the terms of `privateKeyJwt`; an empty option is one that was not given. */
export function assertionOptions({
  audience,
  typ,
  kid,
  clientIdInBody,
}: AuthenticationOptions): Pick<
  PrivateKeyJwtOptions,
  'audience' | 'typ' | 'kid' | 'clientIdInBody'
> {
  return {
    audience: audience === 'issuer' ? undefined : audience || undefined,
    typ: typ || undefined,
    kid: kid === 'none' ? null : kid === 'spki-sha256' ? spkiThumbprint : kid || undefined,
    clientIdInBody,
  }
}

/**
 * Makes a client authentication that is told of the issuer that the caller gave, and of no other.
 *
 * A token source names the issuer that it is bound to as pinned. Here that issuer may be one that the MCP server named.
 */
export function pinnedAuthentication(
  signer: Signer,
  { issuer, ...options }: PrivateKeyJwtOptions,
): ClientAuthentication {
  const authentication = privateKeyJwt(signer, options)
  const authenticate = (
    ...[as, client, body, headers, given]: Parameters<ClientAuthentication>
  ): Promise<void> => authentication(as, client, body, headers, { ...given, issuer })
  return Object.assign(authenticate, { method: authentication.method, alg: signer.alg })
}

/** The scope to ask a token for: what was given and what the challenge wants, else all that the resource supports. */
export function chooseScope(
  {
    scope,
    maxScope,
  }: { readonly scope?: string | undefined; readonly maxScope?: string | undefined },
  challenged: string | undefined,
  supported: readonly string[] | undefined,
): string | undefined {
  const most = maxScope || undefined
  return uniteScopes(scope, limitScope(challenged, most)) ?? limitScope(supported?.join(' '), most)
}
