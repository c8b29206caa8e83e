import { SignerError } from '@countersign/core'
import {
  type AuthorizationServer,
  discoverAuthorizationServer,
  OAuthError,
  type TokenResponse,
} from '@countersign/oauth'
import {
  requireAdvertised,
  requireSecureUrl,
  sanitize,
  sanitizeValue,
} from '@countersign/oauth/internal'
import { describeFailure } from '../failure.ts'
import { explainDpop } from './dpop.ts'
import { adviceOn, examineRefusal, type Refused } from './refusal.ts'
import {
  type ClockReading,
  describeClock,
  differs,
  type Granted,
  isUnauthenticated,
  type ObservedFetch,
  requestToken,
  type TokenInputs,
  tolerableSeconds,
} from './requests.ts'
import {
  attempt,
  describeOAuthFailure,
  type Examination,
  FailedStep,
  type Failure,
  passed,
  type StepName,
  type StepResult,
  type Target,
  warned,
} from './step.ts'

/** Reads the metadata of the authorization server, and checks what must be true before an assertion is signed. */
export async function* examineServer(
  context: Examination,
  { fetch }: ObservedFetch,
  { issuer, namedBy }: Pick<Target, 'issuer' | 'namedBy'>,
  alg: string,
): AsyncGenerator<StepResult, AuthorizationServer> {
  await check('https', () => requireSecureUrl(issuer, 'issuer', { namedBy }))
  yield passed('https', new URL(issuer).protocol === 'https:' ? 'https' : 'loopback')

  const found = await discover(context, fetch, issuer)
  yield passed('server metadata', 'published')
  if (OAuthError.is(found)) throw new FailedStep('issuer', describeOAuthFailure(found))
  yield passed('issuer', sanitize(found.issuer))

  await check('token endpoint', () =>
    requireSecureUrl(found.token_endpoint, 'token endpoint', { namedBy: found.issuer }),
  )
  yield passed('token endpoint', sanitize(found.token_endpoint ?? ''))
  await check('authentication method', () => requireAdvertised(found, 'private_key_jwt'))
  yield passed('authentication method', 'private_key_jwt is listed')
  await check('signing algorithm', () => requireAdvertised(found, 'private_key_jwt', alg))
  yield signingAlgorithm(found, alg)
  yield grant(found)
  return found
}

/** Returns the metadata, or the error when it names another issuer. */
async function discover(
  { within }: Examination,
  fetch: ObservedFetch['fetch'],
  issuer: string,
): Promise<AuthorizationServer | OAuthError> {
  try {
    return await within((signal) => discoverAuthorizationServer(issuer, { fetch, signal }))
  } catch (error) {
    if (OAuthError.is(error) && error.code === 'ERR_OAUTH_ISSUER_MISMATCH') return error
    throw new FailedStep('server metadata', describeOAuthFailure(error))
  }
}

/** Runs a check of the library; when it throws, the step fails. */
function check(step: StepName, requirement: () => unknown): Promise<unknown> {
  return attempt((async () => requirement())(), step)
}

function signingAlgorithm(as: AuthorizationServer, alg: string): StepResult {
  const name = 'signing algorithm'
  // If there is a list, it has this algorithm: that was checked.
  if (as.token_endpoint_auth_signing_alg_values_supported !== undefined) {
    return passed(name, `${alg} is listed`)
  }
  return warned(
    name,
    'the server does not list any',
    `check in its documentation that it accepts ${alg}; RFC 8414 §2 requires the list with private_key_jwt`,
  )
}

function grant(as: AuthorizationServer): StepResult {
  const name = 'grant'
  const wanted = 'client_credentials'
  const listed: unknown = as.grant_types_supported
  const remedy = `enable the grant ${wanted} at the authorization server if the token is refused`
  if (listed === undefined) return warned(name, 'the server does not list its grants', remedy)
  if (Array.isArray(listed) && listed.includes(wanted)) return passed(name, `${wanted} is listed`)
  return warned(name, `it lists ${sanitizeValue(listed)}`, remedy)
}

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

function judgeToken(
  { scope, expires_in, token_type: type }: TokenResponse,
  asked: string | undefined,
): StepResult {
  const lifetime = expires_in === undefined ? 'of unknown lifetime' : `for ${expires_in} s`
  const granted = scope ?? asked
  const withScope = granted === undefined ? '' : `, scope ${sanitizeValue(granted)}`
  const kind = type.toLowerCase() === 'dpop' ? 'DPoP-bound' : 'Bearer'
  const found = `a ${kind} token ${lifetime}${withScope}`
  const values = granted?.split(' ') ?? []
  const missing = asked?.split(' ').filter((value) => !values.includes(value)) ?? []
  if (missing.length === 0) return passed('token', found)
  const remedy = 'grant the client that scope at the authorization server, or do not request it'
  return warned('token', `${found}, without ${sanitizeValue(missing.join(' '))}`, remedy)
}

function judgeClock(clock: ClockReading | undefined): StepResult {
  if (clock === undefined) {
    const remedy = 'compare the clocks yourself if assertions are refused as expired or as too new'
    return warned('clock', 'the authorization server does not send its time', remedy)
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
    const remedy = 'find out why the key signed a moment ago and does not sign now'
    return { found: describeFailure(error).message, remedy, side: 'key', code: error.code }
  }
  const ofDpop = OAuthError.is(error) ? await explainDpop(inputs, error, clock) : undefined
  if (ofDpop !== undefined) return ofDpop
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

/** What to do about errors other than `invalid_client`, RFC 6749 §5.2 and RFC 8707 §2. */
const otherErrors: Readonly<Record<string, string>> = {
  unauthorized_client:
    'allow the grant client_credentials for the client at the authorization server',
  unsupported_grant_type: 'enable the grant client_credentials at the authorization server',
  invalid_scope:
    'request a scope that the client may have, with --scope, or allow this one for the client',
  invalid_target:
    'register the resource with the authorization server, under the identifier in the metadata of the MCP server, and allow it to the client',
  access_denied: 'change the policy of the authorization server to allow the client',
}

/** Replaces the remedy when there is a better one for the server's error. */
function withRemedy(failure: Failure, error: unknown): Failure {
  const remedy = OAuthError.is(error) ? otherErrors[error.error ?? ''] : undefined
  return remedy === undefined ? failure : { ...failure, remedy }
}
