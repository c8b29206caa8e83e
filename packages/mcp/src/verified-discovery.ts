import { type AuthorizationServer, type ClientAuthentication, OAuthError } from '@countersign/oauth'
import {
  requireAdvertised,
  requireIssuer,
  requireSecureUrl,
  sanitize,
} from '@countersign/oauth/provider'
import type { SdkDiscoveryState, SdkServerMetadata } from './sdk-shapes.ts'

/** Checks what an SDK discovered. */
export interface VerifiedDiscovery {
  /** Refuses a state that must not lead to an assertion. */
  verify(state: SdkDiscoveryState): void
  /** The last state that passed: what an SDK found for the flow that it is in the middle of. */
  latest(): SdkDiscoveryState | undefined
  /** Refuses metadata that did not pass, and a token endpoint that is not its own. */
  require(metadata: SdkServerMetadata | undefined, url: string | URL): AuthorizationServer
}

/** @param issuer - the pinned issuer, if any. */
export function verifiedDiscovery(
  authentication: ClientAuthentication,
  issuer: string | undefined,
): VerifiedDiscovery {
  const verified = new WeakSet<AuthorizationServer>()
  let latest: SdkDiscoveryState | undefined

  function verify(state: SdkDiscoveryState): void {
    const { authorizationServerUrl: url, resourceMetadata } = state
    const metadata = asServer(state.authorizationServerMetadata)
    if (metadata === undefined) {
      throw new OAuthError(
        'ERR_OAUTH_DISCOVERY',
        `The authorization server ${sanitize(url)} publishes no metadata; nothing was signed`,
      )
    }
    // v1 of the SDK does not compare them, so that a server could get an assertion for another one.
    requireIssuer(metadata, url)
    if (issuer !== undefined) requireIssuer(metadata, issuer)
    requireSecureUrl(metadata.issuer, 'issuer', {
      namedBy: issuer ?? resourceMetadata?.resource,
    })
    requireSecureUrl(metadata.token_endpoint, 'token endpoint', { namedBy: metadata.issuer })
    requireAdvertised(metadata, authentication.method, authentication.alg)
    verified.add(metadata)
    latest = state
  }

  return {
    verify,
    latest: () => latest,
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
        `The token endpoint ${sanitize(new URL(url).origin)} is not the one that ${sanitize(metadata.issuer)} publishes; nothing was signed`,
      )
    },
  }
}

/** One object under the types of two libraries, which differ in how they write that a member may be absent. */
function asServer(metadata: SdkServerMetadata | undefined): AuthorizationServer | undefined {
  return metadata as AuthorizationServer | undefined
}
