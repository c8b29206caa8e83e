import {
  type AuthorizationServer,
  type DpopSession,
  dpopSession,
  OAuthError,
} from '@countersign/oauth'
import { acceptsProofs, proofRefusal, sanitizeValue } from '@countersign/oauth/internal'
import type { OpenDpop } from '../dpop-options.ts'
import { describeFailure, describeOAuthError } from '../failure.ts'
import { describeRefusedKey } from './key.ts'
import {
  type Answer,
  type ClockReading,
  describeClock,
  differs,
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
  type StepResult,
  type Target,
  warned,
} from './step.ts'

/** Opens the key of the proofs. Returns `undefined` without `--dpop` and `--dpop-key`. */
export async function openProofKey(context: Examination): Promise<OpenDpop | undefined> {
  const { openDpop, within } = context
  if (openDpop === undefined) return undefined
  return within(openDpop).catch((error: unknown) => {
    throw new FailedStep('proof key', describeRefusedKey(error, context))
  })
}

/** Describes the key of the proofs. */
export async function describeProofKey({ alg, jkt }: DpopSession): Promise<StepResult> {
  return passed('proof key', `${alg}, thumbprint ${await jkt()}`)
}

/** Compares what the servers say about DPoP in their metadata with whether it is used. */
export async function examineDpop(
  session: TokenInputs['session'],
  as: AuthorizationServer,
  { dpop: resource }: Target,
): Promise<StepResult> {
  const name = 'token binding'
  if (session === undefined) {
    if (resource?.demand === undefined) return passed(name, 'bearer tokens')
    return warned(name, resource.demand, giveDpop)
  }
  await attempt(
    (async () => acceptsProofs(as, { session, required: true, jktInAssertion: false }))(),
    name,
    'name a key of a listed algorithm with --dpop-key, or enable the algorithm at the authorization server',
  )
  if (as.dpop_signing_alg_values_supported === undefined) {
    return warned(
      name,
      'the authorization server does not list "dpop_signing_alg_values_supported"',
      'enable DPoP at the authorization server if it does not bind the token',
    )
  }
  const algs = resource?.algs
  if (Array.isArray(algs) && !algs.includes(session.alg)) {
    return warned(
      name,
      `the MCP server lists ${sanitizeValue(algs)}, and not ${session.alg}`,
      'name a key of a listed algorithm with --dpop-key if the MCP server refuses the proofs',
    )
  }
  return passed(name, `DPoP with ${session.alg}, which is listed`)
}

const giveDpop = 'give --dpop; in code: dpop: true'

/**
 * Describes why a token request failed, if it was for DPoP. A request without a proof is sent again with one, if the
 * server asks for it.
 *
 * @returns `undefined` if it failed for another reason.
 */
export async function explainDpop(
  inputs: TokenInputs,
  error: OAuthError,
  clock: ClockReading | undefined,
): Promise<Failure | undefined> {
  const failure = describeOAuthFailure(error)
  if (error.code === 'ERR_OAUTH_TOKEN_TYPE') {
    return { ...failure, remedy: inputs.session === undefined ? giveDpop : bindTokens }
  }
  const isNamed = concernsDpop(error)
  if (inputs.session !== undefined) {
    if (!isNamed) return undefined
    if (error.error === 'use_dpop_nonce') return { ...failure, remedy: nonceRefused }
    return {
      ...failure,
      ...proofRefused('the authorization server', error.error_description, clock),
    }
  }
  // Some servers that miss a proof say no more than that, though this grant has nothing that could be invalid.
  const isPossible =
    error.error === 'invalid_grant' && inputs.as.dpop_signing_alg_values_supported !== undefined
  if (!isNamed && !isPossible) return undefined
  const outcome = await requestToken({ ...inputs, session: dpopSession() })
  if (!('error' in outcome)) return withProof(failure, 'granted with a DPoP proof')
  if (!isNamed) return undefined
  const { error: second } = outcome
  const found = OAuthError.is(second) ? describeOAuthError(second) : describeFailure(second).message
  return withProof(failure, `refused also with a DPoP proof: ${found}`)
}

function withProof(failure: Failure, seen: string): Failure {
  return { ...failure, found: `${failure.found}; ${seen}`, remedy: giveDpop }
}

const bindTokens =
  'have the authorization server bind the tokens of this client (often the client setting "dpop_bound_access_tokens"), or leave --dpop out'

const nonceRefused =
  'each request was repeated with the nonce that the server gave. Check that a proxy does not remove the header DPoP-Nonce, and that all instances of the server accept the nonces of each other'

/** Whether a server refused a token request for its proof, or because there was none, RFC 9449 §5. */
function concernsDpop({ code, error, error_description: description = '' }: OAuthError): boolean {
  if (code !== 'ERR_OAUTH_RESPONSE') return false
  return (
    error === 'invalid_dpop_proof' || error === 'use_dpop_nonce' || /\bdpop\b/i.test(description)
  )
}

/** What to do about a refused proof. */
function proofRefused(
  server: string,
  description = '',
  clock: ClockReading | undefined,
): Pick<Failure, 'remedy' | 'candidates'> {
  const isLate = clock !== undefined && differs(clock, tolerableSeconds)
  if (isLate || /\b(?:iat|exp|nbf|recent|expired|clock|future|too old)\b/i.test(description)) {
    const reading = clock === undefined ? '' : `; ${describeClock(clock, server)}`
    return {
      remedy: `set the clock of this machine, or that of ${server}${reading}`,
      ...(isLate ? { candidates: ['clock'] as const } : {}),
    }
  }
  const url = `have ${server} compare the proof with its public URL: a proxy in front of it must pass on the scheme, host and path of the request`
  if (/\b(?:htu|url|uri)\b/i.test(description)) return { remedy: url }
  const alg = 'give a key of an algorithm that it accepts, with --dpop-key'
  if (/\balg/i.test(description)) return { remedy: alg }
  return { remedy: `(1) ${url}; (2) compare the clocks; (3) ${alg}` }
}

/**
 * Describes why an MCP server answered 401, if it was for DPoP.
 *
 * @returns `undefined` if it refused the token itself.
 */
export function explainResourceDpop(
  { session }: Pick<TokenInputs, 'session'>,
  { status, challenge }: Partial<Answer>,
  clock: ClockReading | undefined,
): Failure | undefined {
  if (status !== 401 || challenge === undefined) return undefined
  const { error, schemes } = challenge
  const refused = (found: string, remedy: string): Failure => ({
    ...{ found: `HTTP status 401: ${found}`, remedy, side: 'refused' },
  })
  const refusal = proofRefusal(challenge, session)
  if (refusal === 'missing') {
    return refused('the MCP server accepts only tokens that are bound to a key', giveDpop)
  }
  if (session !== undefined && !schemes.includes('dpop')) {
    return refused(
      'the MCP server asks for a bearer token, and does not offer DPoP',
      'leave --dpop out, or have the MCP server accept DPoP-bound tokens',
    )
  }
  if (refusal === undefined) return undefined
  if (error === 'use_dpop_nonce') return refused('use_dpop_nonce', nonceRefused)
  const { remedy } = proofRefused('the MCP server', undefined, clock)
  return refused('invalid_dpop_proof: the MCP server refuses the proof', remedy)
}
