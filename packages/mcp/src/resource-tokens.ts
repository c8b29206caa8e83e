import { type AuthorizationServer, type TokenSource, tokenSource } from '@countersign/oauth'
import type { Settings } from './client-credentials-options.ts'
import type { SdkTokens } from './sdk-shapes.ts'

/** The authorization server, resource and scope of token requests. */
export interface Binding {
  readonly as: AuthorizationServer
  /** The resource's identifier, as its metadata spells it. */
  readonly resource: string
  readonly scope: string | undefined
}

/** A {@link Binding} with its tokens. */
export interface Bound extends Binding {
  readonly source: TokenSource
}

/** The tokens for one resource, from the authorization server that was found for it. */
export interface ResourceTokens {
  /** `undefined` until an authorization server was found. */
  current(): Bound | undefined
  /**
   * The current binding once it has a token that can be used; `undefined` when the resource has to be asked where to
   * get one.
   */
  ready(signal?: AbortSignal | null): Promise<Bound | undefined>
  bind(to: Binding, tokens?: SdkTokens): Bound
  unbind(): void
}

export function resourceTokens(settings: Settings): ResourceTokens {
  const { clientId, authentication, maxScope, metadataLifetimeSeconds } = settings
  const { timeoutSeconds, fetch, now } = settings
  let current: Bound | undefined
  let oldAt = 0

  return {
    current: () => current,
    async ready(signal) {
      const bound = current
      try {
        await bound?.source.token({ signal: signal ?? undefined })
      } catch (error) {
        if (signal?.aborted || now() < oldAt) throw error
        // The resource may have moved to another authorization server since it was asked.
        if (bound === current) current = undefined
        return undefined
      }
      return bound
    },
    bind(to, tokens) {
      const source = tokenSource({
        issuer: to.as.issuer,
        clientId,
        authentication,
        scope: to.scope,
        maxScope,
        resource: to.resource,
        metadata: to.as,
        metadataLifetimeSeconds,
        timeoutSeconds,
        fetch,
        now,
        tokenResponse: tokens && { ...tokens },
      })
      oldAt = now() + metadataLifetimeSeconds * 1000
      current = { ...to, source }
      return current
    },
    unbind() {
      current = undefined
    },
  }
}
