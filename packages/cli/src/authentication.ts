import { type Signer, spkiThumbprint } from '@countersign/core'
import {
  type ClientAuthentication,
  type PrivateKeyJwtOptions,
  privateKeyJwt,
} from '@countersign/oauth'
import { limitScope, uniteScopes } from '@countersign/oauth/internal'
import type { AuthenticationOptions } from './client-options.ts'

/** Converts options of the command to those of `privateKeyJwt`. An empty option counts as not given. */
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
 * Makes a client authentication that treats only the issuer of the caller as pinned.
 *
 * A token source passes its own issuer as the pinned one, but here the MCP server may have named it.
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

/**
 * Returns the scope to request: the given one together with that of the challenge, or else all that the resource supports.
 */
export function chooseScope(
  {
    scope,
    maxScope,
  }: { readonly scope?: string | undefined; readonly maxScope?: string | undefined },
  challenged: string | undefined,
  supported: readonly string[] | undefined,
): string | undefined {
  const limit = maxScope || undefined
  return (
    uniteScopes(scope, limitScope(challenged, limit)) ?? limitScope(supported?.join(' '), limit)
  )
}
