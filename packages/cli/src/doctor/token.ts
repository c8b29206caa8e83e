import { SignerError } from '@countersign/core'
import type { TokenResponse } from '@countersign/oauth'
import { sanitizeValue } from '@countersign/oauth/internal'
import { describeFailure } from '../failure.ts'
import { type ClockReading, describeClock, differs, tolerableSeconds } from './observed-fetch.ts'
import { adviceOn, examineRefusal, type Refused, withRemedy } from './refusal.ts'
import {
  describeOAuthFailure,
  FailedStep,
  type Failure,
  passed,
  type StepResult,
  warned,
} from './step.ts'
import { type Granted, isUnauthenticated, requestToken, type TokenInputs } from './token-request.ts'

/** Requests a token. The server's response decides whether a clock that differs is a failure or a warning. */
export async function* examineToken(inputs: TokenInputs): AsyncGenerator<StepResult, Granted> {
  const { observed, as } = inputs
  const outcome = await requestToken(inputs)
  // The response to a token request does not come from a cache.
  const clock = observed.clockOf(as.token_endpoint ?? as.issuer) ?? observed.clockOf(as.issuer)
  if (!('error' in outcome)) {
    yield judgeClock(clock)
    yield judgeToken(outcome.response, inputs.target.scope)
    return outcome
  }
  const { error } = outcome
  const explained = await explain(inputs, error, clock)
  if (isOfClock(explained, clock)) {
    const measured = clock === undefined ? '' : `${describeClock(clock, 'the server')}; `
    throw new FailedStep('clock', { ...explained, found: measured + explained.found })
  }
  yield judgeClock(clock)
  throw new FailedStep('token', explained)
}

/** Whether the clock is the cause, or the first of the possible causes and known to differ. */
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
  const remedy = 'grant the client that scope at the authorization server, or do not request it'
  return warned('token', `${found}, without ${sanitizeValue(missing.join(' '))}`, remedy)
}

function judgeClock(clock: ClockReading | undefined): StepResult {
  if (clock === undefined) {
    const remedy = 'compare the clocks yourself if assertions are refused as expired or as too new'
    return warned('clock', 'the authorization server does not tell its time', remedy)
  }
  const found = describeClock(clock, 'the authorization server')
  if (!differs(clock, tolerableSeconds)) return passed('clock', found)
  const remedy = 'set the clock: many servers refuse assertions that are a few seconds off'
  return warned('clock', found, remedy)
}

/** Describes why there is no token. */
async function explain(
  inputs: TokenInputs,
  error: unknown,
  clock: ClockReading | undefined,
): Promise<Failure> {
  if (SignerError.is(error)) {
    const remedy = 'find out why the key signed a moment ago, and does not now'
    return { found: describeFailure(error).message, remedy, side: 'key', code: error.code }
  }
  const failure = describeOAuthFailure(error)
  if (!isUnauthenticated(error)) return withRemedy(failure, error)
  const finding = await examineRefusal(inputs, error, clock)
  const { candidates, seen } = finding
  const found = [failure.found, ...seen].join('; ')
  // The cause of invalid_request is known only when a change helped.
  if (error.error === 'invalid_request' && finding.remedy === undefined)
    return { ...failure, found }
  const remedy = finding.remedy ?? adviceOn(candidates, aboutOf(inputs))
  return { ...failure, found, remedy, candidates }
}

function aboutOf({ context, signer, as }: TokenInputs): Refused {
  const { clientId, assertion } = context
  const audience = assertion?.audience ?? as.issuer
  return { clientId, audience, issuer: as.issuer, alg: signer.alg, kid: signer.kid }
}
