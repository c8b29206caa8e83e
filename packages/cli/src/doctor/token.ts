import { SignerError } from '@countersign/core'
import type { TokenResponse } from '@countersign/oauth'
import { sanitizeValue } from '@countersign/oauth/provider'
import { describeFailure } from '../failure.ts'
import { type ClockReading, describeClock, differs, tolerableSeconds } from './observed-fetch.ts'
import { adviceOn, examineRefusal, type Refused, withRemedy } from './refusal.ts'
import {
  BrokenStep,
  describeOAuthFailure,
  type Failure,
  passed,
  type StepResult,
  warned,
} from './step.ts'
import { askForToken, type Granted, isUnauthenticated, type TokenScene } from './token-request.ts'

/**
 * Asks for a token. The clock is judged by what comes of it: how far off it may be is the server's decision.
 */
export async function* examineToken(scene: TokenScene): AsyncGenerator<StepResult, Granted> {
  const { observed, as } = scene
  const outcome = await askForToken(scene)
  // The answer to a token request is never a cached one.
  const clock = observed.clockOf(as.token_endpoint ?? as.issuer) ?? observed.clockOf(as.issuer)
  if (!('error' in outcome)) {
    yield judgeClock(clock)
    yield judgeToken(outcome.response, scene.target.scope)
    return outcome
  }
  const { error } = outcome
  const explained = await explain(scene, error, clock)
  if (isOfClock(explained, clock)) {
    const measured = clock === undefined ? '' : `${describeClock(clock, 'the server')}; `
    throw new BrokenStep('clock', { ...explained, found: measured + explained.found })
  }
  yield judgeClock(clock)
  throw new BrokenStep('token', explained)
}

/** Whether it is the clock that is to be set right first. */
function isOfClock({ candidates = [] }: Failure, clock: ClockReading | undefined): boolean {
  const isFirst = candidates[0] === 'clock'
  return isFirst && (candidates.length === 1 || (clock !== undefined && differs(clock)))
}

function judgeToken({ scope, expires_in }: TokenResponse, asked: string | undefined): StepResult {
  const lifetime = expires_in === undefined ? 'of unknown lifetime' : `for ${expires_in} s`
  const granted = scope ?? asked
  const withScope = granted === undefined ? '' : `, scope ${sanitizeValue(granted)}`
  const found = `a Bearer token ${lifetime}${withScope}`
  const values = granted?.split(' ') ?? []
  const missing = asked?.split(' ').filter((value) => !values.includes(value)) ?? []
  if (missing.length === 0) return passed('token', found)
  const remedy = 'grant the client that scope at the authorization server, or do not ask for it'
  return warned('token', `${found}, without ${sanitizeValue(missing.join(' '))}`, remedy)
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
  if (!isUnauthenticated(error)) return withRemedy(failure, error)
  const finding = await examineRefusal(scene, error, clock)
  const { candidates, seen } = finding
  const found = [failure.found, ...seen].join('; ')
  // What makes a request invalid is not known, unless a change of it helped.
  if (error.error === 'invalid_request' && finding.remedy === undefined)
    return { ...failure, found }
  const remedy = finding.remedy ?? adviceOn(candidates, aboutOf(scene))
  return { ...failure, found, remedy, candidates }
}

function aboutOf({ context, signer, as }: TokenScene): Refused {
  const { clientId, assertion } = context
  const audience = assertion?.audience ?? as.issuer
  return { clientId, audience, issuer: as.issuer, alg: signer.alg, kid: signer.kid }
}
