import type { Signer } from '@countersign/core'
import {
  type AuthorizationServer,
  OAuthError,
  privateKeyJwt,
  type TokenResponse,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import { keepSecret } from '../redact.ts'
import type { ObservedFetch } from './observed-fetch.ts'
import type { Examination } from './options.ts'
import type { Target } from './resource-steps.ts'

/** What a token is asked with. */
export interface TokenScene {
  readonly context: Examination
  readonly observed: ObservedFetch
  readonly signer: Signer
  readonly as: AuthorizationServer
  readonly target: Target
}

/** How an assertion differs from the one that a program would send. */
export interface Change {
  readonly audience?: string
  readonly now?: () => number
}

/** A token, and where more of them come from. */
export interface Granted {
  readonly source: TokenSource
  readonly response: TokenResponse
}

/** A token, or why there is none. */
export type Outcome = Granted | { readonly error: unknown }

/** Asks for a token once, with the library's own token source. */
export async function askForToken(scene: TokenScene, change: Change = {}): Promise<Outcome> {
  const { context, observed, signer, as, target } = scene
  const { within, clientId, now, timeoutSeconds } = context
  const audience = change.audience ?? context.audience
  const authentication = privateKeyJwt(signer, { issuer: target.issuer, now, ...change, audience })
  try {
    const source = tokenSource({
      issuer: as.issuer,
      clientId,
      authentication,
      scope: target.scope,
      resource: target.resource,
      metadata: as,
      retries: 0,
      timeoutSeconds,
      fetch: observed.fetch,
      now,
    })
    const response = await within((signal) => source.tokenResponse({ signal }))
    keepSecret(response.access_token)
    return { source, response }
  } catch (error) {
    context.signal?.throwIfAborted()
    return { error }
  }
}

/** Whether the client was let in, be it to be refused for another reason. */
export function isAdmitted(outcome: Outcome): boolean {
  if (!('error' in outcome)) return true
  const { error } = outcome
  return (
    OAuthError.is(error) && error.code === 'ERR_OAUTH_RESPONSE' && error.error !== 'invalid_client'
  )
}
