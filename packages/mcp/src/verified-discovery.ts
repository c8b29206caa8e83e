import { type AuthorizationServer, type ClientAuthentication, OAuthError } from '@countersign/oauth'
import { requireAdvertised, requireIssuer, requireSecureUrl } from '@countersign/oauth/provider'
import type { SdkDiscoveryState, SdkServerMetadata } from './sdk-shapes.ts'

/** Checks what an SDK discovered, and remembers what passed. */
export interface VerifiedDiscovery {
  /** Refuses a state that must not lead to an assertion, and keeps it otherwise. */
  verify(state: SdkDiscoveryState): void
  /** The kept state, while it is young enough. */
  state(): SdkDiscoveryState | undefined
  /** The kept state, however old: what an SDK found for the flow that it is in the middle of. */
  latest(): SdkDiscoveryState | undefined
  forget(): void
  /** Refuses metadata that did not pass, and a token endpoint that is not its own. */
  require(metadata: SdkServerMetadata | undefined, url: string | URL): AuthorizationServer
}

/** What a {@link VerifiedDiscovery} holds an authorization server to. */
export interface DiscoveryRules {
  readonly authentication: ClientAuthentication
  /** The pinned issuer, if any. */
  readonly issuer: string | undefined
  readonly lifetimeSeconds: number
  readonly now: () => number
}

export function verifiedDiscovery(rules: DiscoveryRules): VerifiedDiscovery {
  const { authentication, issuer, lifetimeSeconds, now } = rules
  const verified = new WeakSet<AuthorizationServer>()
  let kept: SdkDiscoveryState | undefined
  let keptUntil = 0

  function verify(state: SdkDiscoveryState): void {
    const metadata = asServer(state.authorizationServerMetadata)
    if (metadata === undefined) {
      throw new OAuthError(
        'ERR_OAUTH_DISCOVERY',
        `The authorization server ${state.authorizationServerUrl} publishes no metadata; nothing was signed`,
      )
    }
    // One major of the SDK leaves this comparison out, and an assertion for another server could be had by it.
    requireIssuer(metadata, state.authorizationServerUrl)
    if (issuer !== undefined) requireIssuer(metadata, issuer)
    requireSecureUrl(metadata.issuer, 'issuer')
    requireSecureUrl(metadata.token_endpoint, 'token endpoint')
    requireAdvertised(metadata, authentication.method, authentication.alg)
    verified.add(metadata)
    if (state === kept) return
    kept = state
    keptUntil = now() + lifetimeSeconds * 1000
  }

  return {
    verify,
    state: () => (kept !== undefined && now() < keptUntil ? kept : undefined),
    latest: () => kept,
    forget() {
      kept = undefined
    },
    require(ofSdk, url) {
      const metadata = asServer(ofSdk)
      if (metadata === undefined || !verified.has(metadata)) {
        throw new OAuthError(
          'ERR_OAUTH_ISSUER_MISMATCH',
          'The metadata of the authorization server was not verified against its issuer; nothing was signed',
        )
      }
      if (new URL(url).href === new URL(metadata.token_endpoint ?? '').href) return metadata
      throw new OAuthError(
        'ERR_OAUTH_ISSUER_MISMATCH',
        `The token endpoint ${new URL(url).origin} is not the one that ${metadata.issuer} publishes; nothing was signed`,
      )
    },
  }
}

/** One object under the types of two libraries, which differ in how they write that a member may be absent. */
function asServer(metadata: SdkServerMetadata | undefined): AuthorizationServer | undefined {
  return metadata as AuthorizationServer | undefined
}
