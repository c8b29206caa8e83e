import type { Signer } from '@countersign/core'
import {
  type AuthorizationServer,
  type ClientAuthentication,
  OAuthError,
  type PrivateKeyJwtOptions,
  type TokenResponse,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import { pinnedAuthentication } from '../authentication.ts'
import { registerSecret } from '../redact.ts'
import type { ObservedFetch } from './observed-fetch.ts'
import type { Target } from './resource.ts'
import type { AssertionSettings, Examination } from './step.ts'

/** What a token is asked with. */
export interface TokenScene {
  readonly context: Examination
  readonly observed: ObservedFetch
  readonly signer: Signer
  readonly as: AuthorizationServer
  readonly target: Target
}

/** How an assertion differs from the one that a program would send. */
export type Change = AssertionSettings & Pick<PrivateKeyJwtOptions, 'now'>

/** A token, and where more of them come from. */
export interface Granted {
  readonly source: TokenSource
  readonly response: TokenResponse
}

/** A token, or why there is none. */
export type Outcome = Granted | { readonly error: unknown }

/** Authenticates the client as a program would; an issuer is pinned only when the caller gave it. */
export function authenticationOf(
  { context, signer }: Pick<TokenScene, 'context' | 'signer'>,
  change: Change = {},
): ClientAuthentication {
  const { assertion, now, issuer } = context
  return pinnedAuthentication(signer, { ...assertion, now, ...change, issuer })
}

/** Asks for a token once, with the library's own token source. */
export async function askForToken(scene: TokenScene, change: Change = {}): Promise<Outcome> {
  const { context, observed, as, target } = scene
  const { within, clientId, now, timeoutSeconds } = context
  try {
    const source = tokenSource({
      issuer: as.issuer,
      clientId,
      authentication: authenticationOf(scene, change),
      scope: target.scope,
      maxScope: context.maxScope,
      resource: target.resource,
      metadata: as,
      retries: 0,
      timeoutSeconds,
      fetch: observed.fetch,
      now,
    })
    const response = await within((signal) => source.tokenResponse({ signal }))
    registerSecret(response.access_token)
    return { source, response }
  } catch (error) {
    context.signal?.throwIfAborted()
    return { error }
  }
}

/** Whether the client was let in, even if it was then refused for another reason. */
export function isAdmitted(outcome: Outcome): boolean {
  if (!('error' in outcome)) return true
  const { error } = outcome
  return OAuthError.is(error) && error.code === 'ERR_OAUTH_RESPONSE' && !isUnauthenticated(error)
}

/** Whether a server refused the client, or its request, without having looked at what it asks for. */
export function isUnauthenticated(error: unknown): error is OAuthError {
  return (
    OAuthError.is(error) &&
    error.code === 'ERR_OAUTH_RESPONSE' &&
    (error.error === 'invalid_client' || error.error === 'invalid_request')
  )
}
