import {
  type AuthorizationServer,
  discoverAuthorizationServer,
  discoverProtectedResource,
  type Fetch,
  OAuthError,
} from '@countersign/oauth'
import { bearerChallenge, sameIssuer } from '@countersign/oauth/provider'

/** Where a token for a resource is to be had. */
export interface ChallengedResource {
  readonly as: AuthorizationServer
  /** The resource's identifier, as its metadata spells it. */
  readonly resource: string
  /** What the challenge asks for. */
  readonly scope: string | undefined
  readonly scopesSupported: readonly string[] | undefined
}

/**
 * Learns from a resource's 401 where to get a token, as RFC 9728 §5 has it.
 *
 * `undefined` for a resource from before that RFC, when no issuer is pinned: how to go on there is the SDK's matter.
 */
export async function discoverChallengedResource(
  url: URL,
  response: Response,
  {
    issuer,
    fetch,
    timeoutSeconds = 30,
    signal: abandoned,
  }: Readonly<{
    issuer: string | undefined
    fetch: Fetch
    timeoutSeconds: number | undefined
    signal?: AbortSignal | undefined
  }>,
): Promise<ChallengedResource | undefined> {
  const timeout = AbortSignal.timeout(timeoutSeconds * 1000)
  const signal = abandoned === undefined ? timeout : AbortSignal.any([timeout, abandoned])
  const challenge = await bearerChallenge(response)
  const { href } = new URL(url.pathname, url)
  const metadata = await discoverProtectedResource(href, {
    metadataUrl: challenge?.resourceMetadata,
    fetch,
    signal,
  }).catch((error) => {
    if (OAuthError.is(error) && error.code === 'ERR_OAUTH_DISCOVERY') return undefined
    throw error
  })
  const named = metadata?.authorization_servers
  const chosen = issuer ?? named?.[0]
  if (chosen === undefined) return undefined
  if (named !== undefined && !named.some((one) => sameIssuer(one, chosen))) {
    throw new OAuthError(
      'ERR_OAUTH_ISSUER_MISMATCH',
      `The resource ${href} names the authorization servers ${named.slice(0, 5).join(', ')}, and not the pinned ${chosen}; nothing was signed`,
    )
  }
  return {
    as: await discoverAuthorizationServer(chosen, { fetch, signal }),
    resource: metadata?.resource ?? href,
    scope: challenge?.scope,
    scopesSupported: metadata?.scopes_supported,
  }
}
