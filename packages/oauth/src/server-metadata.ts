import type { AuthorizationServer } from 'oauth4webapi'
import { requireIssuer } from './authorization-server.ts'
import { stopwatch } from './cached-token.ts'
import { discoverAuthorizationServer } from './discovery.ts'
import { OAuthError } from './error.ts'
import type { Fetch } from './http.ts'

/** Whose metadata, and what is known of it beforehand. */
export interface ServerMetadataSettings {
  readonly issuer: string
  readonly metadata: AuthorizationServer | undefined
  readonly lifetimeSeconds: number
  readonly fetch: Fetch
  readonly now: () => number
}

/** The authorization server's metadata, given or discovered, and kept for its lifetime. */
export interface ServerMetadata {
  read(signal: AbortSignal): Promise<AuthorizationServer>
  /** Has it discovered anew when it is read next. */
  forget(): void
  tokenEndpoint(): string | undefined
}

export function serverMetadata(settings: ServerMetadataSettings): ServerMetadata {
  const { issuer, metadata, lifetimeSeconds, fetch, now } = settings
  if (metadata !== undefined) requireIssuer(metadata, issuer)
  let known = metadata
  let age = stopwatch(now)
  let forgotten = false

  async function discover(signal: AbortSignal): Promise<AuthorizationServer> {
    try {
      return await discoverAuthorizationServer(issuer, { fetch, signal })
    } catch (error) {
      // Metadata may have been given because the server publishes none.
      if (metadata === undefined || !OAuthError.is(error) || error.code !== 'ERR_OAUTH_DISCOVERY')
        throw error
      return metadata
    }
  }

  return {
    async read(signal) {
      if (known === undefined || forgotten || age() >= lifetimeSeconds * 1000) {
        known = await discover(signal)
        age = stopwatch(now)
        forgotten = false
      }
      return known
    },
    forget() {
      forgotten = true
    },
    tokenEndpoint: () => known?.token_endpoint,
  }
}
