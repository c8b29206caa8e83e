import {
  type AuthorizationServer,
  OAuthError,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import { sameIssuer } from '@countersign/oauth/provider'
import type { Settings } from './client-credentials-options.ts'
import type { SdkTokens } from './sdk-shapes.ts'

/** Of whom, for what and with which scope tokens are asked. */
export interface Binding {
  readonly as: AuthorizationServer
  /** The resource's identifier, as its metadata spells it. */
  readonly resource: string
  readonly scope: string | undefined
}

/** A {@link Binding} with its tokens. */
export interface Bound extends Binding {
  readonly source: TokenSource
  /** Whether it was found so long ago that the resource may have moved since. */
  isOld(): boolean
}

/** Keeps the tokens for one resource, of the authorization server that was found for it. */
export interface TokenHolder {
  /** `undefined` until an authorization server was found. */
  current(): Bound | undefined
  bind(to: Binding, tokens?: SdkTokens): Bound
  unbind(): void
  /** Notes how the resource answered to a token, which was a new one if the last one was refused. */
  answered(bound: Bound, status: number): void
  /** Refuses to ask for one more token after the resource has just refused one of the same server. */
  requireAccepted(as: AuthorizationServer): void
}

/** How long a refusal stands; {@link TokenSource.fetch} lets at most a minute pass between its own attempts. */
const refusalSeconds = 60

export function tokenHolder(settings: Settings): TokenHolder {
  const { now, metadataLifetimeSeconds } = settings
  let held: Bound | undefined
  let refusal: { readonly by: Bound; readonly status: number; readonly at: number } | undefined

  return {
    current: () => held,
    bind(to, tokens) {
      const { clientId, authentication, timeoutSeconds, fetch } = settings
      const source = tokenSource({
        issuer: to.as.issuer,
        clientId,
        authentication,
        scope: to.scope,
        resource: to.resource,
        metadata: to.as,
        metadataLifetimeSeconds,
        timeoutSeconds,
        fetch,
        now,
        tokenResponse: tokens && { ...tokens },
      })
      refusal = undefined
      const until = now() + metadataLifetimeSeconds * 1000
      held = { ...to, source, isOld: () => now() >= until }
      return held
    },
    unbind() {
      held = undefined
      refusal = undefined
    },
    answered(bound, status) {
      if (bound !== held) return
      refusal = status === 401 || status === 403 ? { by: bound, status, at: now() } : undefined
    },
    requireAccepted(as) {
      if (refusal === undefined || !sameIssuer(refusal.by.as.issuer, as.issuer)) return
      if (now() >= refusal.at + refusalSeconds * 1000) return
      const { status, by } = refusal
      throw new OAuthError(
        'ERR_OAUTH_TOKEN_REFUSED',
        `The resource ${by.resource} answers with HTTP status ${status} to the token that ${as.issuer} has just issued for it; no other was asked for`,
        { status },
      )
    },
  }
}
