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

/** What a token request needs. */
export interface TokenInputs {
  readonly context: Examination
  readonly observed: ObservedFetch
  readonly signer: Signer
  readonly as: AuthorizationServer
  readonly target: Target
}

/** How an assertion differs from the one that the options ask for. */
export type Change = AssertionSettings & Pick<PrivateKeyJwtOptions, 'now'>

/** A token, and its source. */
export interface Granted {
  readonly source: TokenSource
  readonly response: TokenResponse
}

/** A token, or the error of the request. */
export type Outcome = Granted | { readonly error: unknown }

/** Makes the client authentication. The issuer is pinned only when the caller gave it. */
export function authenticationOf(
  { context, signer }: Pick<TokenInputs, 'context' | 'signer'>,
  change: Change = {},
): ClientAuthentication {
  const { assertion, now, issuer } = context
  return pinnedAuthentication(signer, { ...assertion, now, ...change, issuer })
}

/** Sends one token request, with the library's token source. */
export async function requestToken(inputs: TokenInputs, change: Change = {}): Promise<Outcome> {
  const { context, observed, as, target } = inputs
  const { within, clientId, now, timeoutSeconds } = context
  try {
    const source = tokenSource({
      issuer: as.issuer,
      clientId,
      authentication: authenticationOf(inputs, change),
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

/** Whether the client was authenticated, even if the request was then refused for another reason. */
export function isAuthenticated(outcome: Outcome): boolean {
  if (!('error' in outcome)) return true
  const { error } = outcome
  return OAuthError.is(error) && error.code === 'ERR_OAUTH_RESPONSE' && !isUnauthenticated(error)
}

/** Whether the server refused the client or the form of the request, before it looked at what is requested. */
export function isUnauthenticated(error: unknown): error is OAuthError {
  return (
    OAuthError.is(error) &&
    error.code === 'ERR_OAUTH_RESPONSE' &&
    (error.error === 'invalid_client' || error.error === 'invalid_request')
  )
}
