import type { Signer } from '@countersign/core'
import { SignerError } from '@countersign/core'
import {
  type AuthorizationServer,
  OAuthError,
  privateKeyJwt,
  type TokenResponse,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import { serverValue } from '@countersign/oauth/provider'
import { describeFailure } from '../failure.ts'
import { keepSecret } from '../redact.ts'
import { type ClockReading, describeClock, differs, tolerableSeconds } from './clock.ts'
import { describeOAuthFailure } from './oauth-failure.ts'
import type { ObservedFetch } from './observed-fetch.ts'
import type { Examination } from './options.ts'
import { adviceOn, hintsIn, type Refused, withRemedy } from './refusal.ts'
import type { Target } from './resource-steps.ts'
import {
  BrokenStep,
  type Candidate,
  type Failure,
  passed,
  type StepResult,
  warned,
} from './step.ts'

/** What a token is asked with. */
export interface TokenScene {
  readonly context: Examination
  readonly observed: ObservedFetch
  readonly signer: Signer
  readonly as: AuthorizationServer
  readonly target: Target
}

/** How an assertion of a second look differs from the first one. */
interface Change {
  readonly audience?: string
  readonly now?: () => number
}

/** A token, and where more of them come from. */
export interface Granted {
  readonly source: TokenSource
  readonly response: TokenResponse
}

/**
 * Asks for a token. The clock is judged by what comes of it: how far off it may be is the server's decision.
 */
export async function* examineToken(scene: TokenScene): AsyncGenerator<StepResult, Granted> {
  const { observed, as } = scene
  const outcome = await ask(scene)
  // The answer to a token request is never a cached one.
  const clock = observed.clockOf(as.token_endpoint ?? as.issuer) ?? observed.clockOf(as.issuer)
  if (!('error' in outcome)) {
    yield judgeClock(clock)
    const { scope, expires_in } = outcome.response
    const lifetime = expires_in === undefined ? 'of unknown lifetime' : `for ${expires_in} s`
    const granted = scope ?? scene.target.scope
    const withScope = granted === undefined ? '' : `, scope ${serverValue(granted)}`
    yield passed('token', `a Bearer token ${lifetime}${withScope}`)
    return outcome
  }
  const { error } = outcome
  const explained = await explain(scene, error, clock)
  if (explained.candidates?.[0] === 'clock') {
    const measured = clock === undefined ? '' : `${describeClock(clock, 'the server')}; `
    throw new BrokenStep('clock', { ...explained, found: measured + explained.found })
  }
  yield judgeClock(clock)
  throw new BrokenStep('token', explained)
}

type Outcome = Granted | { readonly error: unknown }

/** Asks once, with the library's own token source. */
async function ask(scene: TokenScene, change: Change = {}): Promise<Outcome> {
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

function judgeClock(clock: ClockReading | undefined): StepResult {
  if (clock === undefined) {
    const remedy = 'compare the clocks yourself if assertions are refused as expired or as too new'
    return warned('clock', 'the authorization server does not say what time it is', remedy)
  }
  const found = describeClock(clock, 'the authorization server')
  if (!differs(clock, tolerableSeconds)) return passed('clock', found)
  const remedy = 'set the clocks: many servers refuse assertions that are a few seconds off'
  return warned('clock', found, remedy)
}

/** Why no token was granted, as far as it can be told. */
async function explain(
  scene: TokenScene,
  error: unknown,
  clock: ClockReading | undefined,
): Promise<Failure> {
  if (SignerError.is(error)) {
    const remedy = 'see why the key, which has just signed, does not any more'
    return { found: describeFailure(error).message, remedy, side: 'key', code: error.code }
  }
  const failure = describeOAuthFailure(error)
  if (!OAuthError.is(error) || error.error !== 'invalid_client') return withRemedy(failure, error)
  const { candidates, seen } = await suspects(scene, error, clock)
  const about = aboutOf(scene)
  const remedy = adviceOn(candidates, about)
  const found = [failure.found, ...seen].join('; ')
  return { ...failure, found, remedy, candidates }
}

function aboutOf({ context, signer, as }: TokenScene): Refused {
  const { clientId, audience = as.issuer } = context
  return { clientId, audience, issuer: as.issuer, alg: signer.alg, kid: signer.kid }
}

interface Suspects {
  readonly candidates: readonly Candidate[]
  /** What was seen on the way to them. */
  readonly seen: readonly string[]
}

/** An assertion is dated no further ahead than this, or back, to see whether that helps. */
const longestCorrectionSeconds = 3600

/**
 * Tells the causes of `invalid_client` apart: by what the server says, and else by asking again with the one thing
 * changed that may be wrong. Whether a client is known, servers keep to themselves on purpose, and to guess at names
 * until one is refused in another way would be an attack on them.
 */
async function suspects(
  scene: TokenScene,
  { error_description }: OAuthError,
  clock: ClockReading | undefined,
): Promise<Suspects> {
  const said = hintsIn(error_description)
  const may = (candidate: Candidate) => said.length === 0 || said.includes(candidate)
  const seen: string[] = []
  const others: Candidate[] = said.length > 0 ? said : ['client', 'key', 'algorithm']

  if (may('clock') && clock === undefined) others.push('clock')
  if (may('clock') && clock !== undefined && differs(clock)) {
    if (Math.abs(clock.aheadSeconds) > longestCorrectionSeconds) {
      return { candidates: ['clock', ...others], seen: ['nothing can be told before that is set'] }
    }
    const now = () => scene.context.now() + clock.aheadSeconds * 1000
    if (isAdmitted(await ask(scene, { now }))) {
      return { candidates: ['clock'], seen: ['with the time of the server it was accepted'] }
    }
    seen.push('with the time of the server it was refused, too')
  }
  const { as, context } = scene
  const first = context.audience ?? as.issuer
  const audience = first === as.issuer ? as.token_endpoint : as.issuer
  if (may('audience') && audience !== undefined) {
    const withAudience = `with the audience ${serverValue(audience)} it was`
    if (isAdmitted(await ask(scene, { audience }))) {
      return { candidates: ['audience'], seen: [`${withAudience} accepted`] }
    }
    seen.push(`${withAudience} refused, too`)
  }
  return { candidates: others, seen }
}

/** Whether the client was let in, be it to be refused for another reason. */
function isAdmitted(outcome: Outcome): boolean {
  if (!('error' in outcome)) return true
  const { error } = outcome
  return OAuthError.is(error) && error.code === 'ERR_OAUTH_RESPONSE' && error.error !== 'invalid_client'
}
