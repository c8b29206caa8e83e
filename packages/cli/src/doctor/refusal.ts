import { spkiThumbprint } from '@countersign/core'
import { OAuthError } from '@countersign/oauth'
import { sanitizeValue } from '@countersign/oauth/internal'
import { faultOfDocument } from './client-document.ts'
import {
  type Change,
  type ClockReading,
  differs,
  isAuthenticated,
  isUnauthenticated,
  requestToken,
  type TokenInputs,
  tolerableSeconds,
} from './requests.ts'
import type { Candidate } from './step.ts'

/** What is known about a refusal. */
export interface Finding {
  readonly candidates: readonly Candidate[]
  /** What was observed. */
  readonly seen: readonly string[]
  /** What to change, when that is known. */
  readonly remedy?: string
}

/** One change of the assertion or of the request that some servers need. */
interface Variant {
  readonly candidate: Candidate
  /** The cause that the server names when this change is needed; by default, that of the change. */
  readonly hint?: Candidate
  readonly change: Change
  readonly name: string
  /** The option of the command. */
  readonly option: string
  /** The option of `privateKeyJwt`. */
  readonly code: string
}

/** The largest correction of the time in an assertion. */
const longestCorrectionSeconds = 3600

/**
 * Finds the cause of `invalid_client` or `invalid_request`: from the server's description, from the client's metadata
 * document, or else with at most six more requests to the same server, each with one change that some servers need. It
 * stops at the first change that helps.
 *
 * Servers do not reveal whether a client exists, and this does not probe for client IDs.
 */
export async function examineRefusal(
  inputs: TokenInputs,
  refusal: OAuthError,
  clock: ClockReading | undefined,
): Promise<Finding> {
  const named = hintsIn(refusal.error_description)
  const isPossible = (candidate: Candidate) => named.length === 0 || named.includes(candidate)

  const fault = await faultOfDocument(inputs)
  if (fault !== undefined && isPossible(fault.candidate)) {
    return { candidates: [fault.candidate], seen: [fault.seen] }
  }
  let base: Change = {}
  const refused: string[] = []
  if (clock !== undefined && isPossible('clock')) {
    if (Math.abs(clock.aheadSeconds) > longestCorrectionSeconds) {
      const seen = ['set the clock first: until then, nothing else can be checked']
      return { candidates: named.length > 0 ? named : ['clock', ...indistinguishable], seen }
    }
    if (differs(clock)) {
      const now = () => inputs.context.now() + clock.aheadSeconds * 1000
      if (isAuthenticated(await requestToken(inputs, { now }))) {
        return { candidates: ['clock'], seen: ['accepted with the time of the server'] }
      }
      refused.push('the time of the server')
      if (differs(clock, tolerableSeconds)) base = { now }
    }
  }
  const found = await tryVariants(inputs, refusal, base, refused)
  if (found !== undefined) return found
  const all = named.length > 0 ? named : (['clock', ...indistinguishable] as const)
  // When the server's time is known, the clock has been ruled out.
  const left = all.filter((candidate) => candidate !== 'clock' || clock === undefined)
  return {
    candidates: left.length > 0 ? left : all,
    seen: refused.length === 0 ? [] : [`refused also with ${refused.join(', with ')}`],
  }
}

/** The causes that servers report in the same way, and that no change of the request distinguishes. */
const indistinguishable: readonly Candidate[] = ['client', 'key', 'algorithm']

/** @param refused - receives the name of each change that did not help. */
async function tryVariants(
  inputs: TokenInputs,
  refusal: OAuthError,
  base: Change,
  refused: string[],
): Promise<Finding | undefined> {
  let latest = refusal
  let applied: readonly Variant[] = []
  for (const variant of variantsFor(inputs, refusal)) {
    if (!mayHelp(variant, latest)) continue
    const tried = [...applied.filter(({ candidate }) => candidate !== variant.candidate), variant]
    const change = Object.assign({ ...base }, ...tried.map((one) => one.change)) as Change
    const outcome = await requestToken(inputs, change)
    if (isAuthenticated(outcome)) return accepted(tried)
    const { error } = outcome as { readonly error: unknown }
    if (OAuthError.is(error) && error.code === 'ERR_OAUTH_AUDIENCE') {
      refused.push(`${variant.name} (not sent: it names another server, and no --issuer was given)`)
    } else if (isUnauthenticated(error)) {
      refused.push(variant.name)
      // The request is now valid, and the client is refused.
      if (latest.error === 'invalid_request' && error.error === 'invalid_client') {
        latest = error
        applied = tried
      }
    } else return undefined
  }
  return undefined
}

function mayHelp({ candidate, hint = candidate }: Variant, refusal: OAuthError): boolean {
  if (refusal.error === 'invalid_request' && candidate === 'client_id') return true
  const named = hintsIn(refusal.error_description)
  return named.length === 0 || named.includes(hint)
}

function accepted(variants: readonly Variant[]): Finding {
  const list = (member: 'name' | 'option') => variants.map((one) => one[member]).join(' and ')
  const code = variants.map((one) => one.code).join(', ')
  return {
    candidates: variants.map(({ candidate }) => candidate),
    seen: [`accepted with ${list('name')}`],
    remedy: `give ${list('option')}; in code: privateKeyJwt(signer, { ${code} })`,
  }
}

/** The changes to try, the likeliest first, without those that have no effect. */
function variantsFor({ context, signer, as }: TokenInputs, refusal: OAuthError): Variant[] {
  const { audience = as.issuer, typ, kid, clientIdInBody } = context.assertion ?? {}
  const spki = spkiThumbprint(signer.publicJwk)
  const kidInUse = typeof kid === 'function' ? kid(signer.publicJwk) : kid
  const inBody: Variant = {
    candidate: 'client_id',
    change: { clientIdInBody: true },
    name: 'client_id in the body',
    option: '--client-id-in-body',
    code: 'clientIdInBody: true',
  }
  const jwt: Variant = {
    candidate: 'typ',
    change: { typ: 'JWT' },
    name: 'typ JWT',
    option: '--typ JWT',
    code: "typ: 'JWT'",
  }
  const ofCertificate: Variant = {
    candidate: 'kid',
    hint: 'key',
    change: { kid: spkiThumbprint },
    name: `the kid ${spki} (spki-sha256)`,
    option: '--kid spki-sha256',
    code: 'kid: spkiThumbprint',
  }
  const noKid: Variant = {
    candidate: 'kid',
    hint: 'key',
    change: { kid: null },
    name: 'no kid',
    option: '--kid none',
    code: 'kid: null',
  }
  const isOfIssuer = audience === as.issuer
  const other = isOfIssuer ? 'token_endpoint' : 'issuer'
  const value = isOfIssuer ? as.token_endpoint : as.issuer
  const ofOther: Variant = {
    candidate: 'audience',
    change: { audience: isOfIssuer ? 'token_endpoint' : undefined },
    name: `the audience ${sanitizeValue(value)}`,
    option: `--audience ${other}`,
    code: isOfIssuer ? "audience: 'token_endpoint'" : 'audience: undefined',
  }
  const first =
    refusal.error === 'invalid_request' ? [inBody, jwt, ofOther] : [ofOther, jwt, inBody]
  return [...first, ofCertificate, noKid].filter(({ change }) => {
    if (change.typ !== undefined) return typ !== change.typ
    if (change.clientIdInBody) return !clientIdInBody
    if (change.kid === null) return kid !== null
    if (change.kid !== undefined) return (kidInUse ?? signer.kid) !== spki
    return value !== undefined
  })
}

/** Patterns of error descriptions, by the cause that they name. */
const hints: readonly (readonly [Candidate, RegExp])[] = [
  [
    'client',
    /(?:unknown|no such) client|(?:client|application)\b.{0,80}\b(?:not found|not registered|unknown|(?:does not|doesn't) exist)|'client_id' parameter/i,
  ],
  [
    'clock',
    /expired|\b(?:not active|not yet valid|in the future|time range|issued at|too old|clock)\b|\b(?:iat|exp|nbf)\b/i,
  ],
  ['audience', /\baud(?:ience)?\b/i],
  ['typ', /\btyp\b/i],
  ['algorithm', /\balg(?:orithm)?\b/i],
  ['key', /signature|integrity|signing key|public key|\bkid\b|\bjwks?(?:_uri)?\b|certificate/i],
]

/** The causes that an error description names. */
export function hintsIn(description: string | undefined): Candidate[] {
  // Some servers quote the examples of RFC 6749 §5.2 in every refusal.
  const text = (description ?? '').replace(/\(e\.g\.[^)]*\)/g, '')
  return hints.filter(([, pattern]) => pattern.test(text)).map(([candidate]) => candidate)
}

/** The refused client, for remedies. */
export interface Refused {
  readonly clientId: string
  readonly alg: string
  readonly kid: string
  readonly issuer: string
  readonly audience: string
}

const advice: { readonly [candidate in Candidate]: (about: Refused) => string } = {
  clock: () => 'set the clock of this machine, or that of the authorization server',
  client: ({ clientId, issuer }) =>
    `check that the client "${clientId}" is registered at ${issuer}, with the method private_key_jwt`,
  key: ({ kid, clientId }) =>
    `register the public key (countersign jwks KEY; kid ${kid}) for the client "${clientId}", or publish it at its jwks_uri`,
  algorithm: ({ alg }) => `register ${alg} as the client's token_endpoint_auth_signing_alg`,
  audience: ({ audience }) =>
    `give the audience that the server expects, with --audience; it is not ${audience}`,
  typ: () => 'give the type that the server expects, with --typ',
  kid: () => 'give the key ID that the server has for the key, with --kid',
  client_id: () => 'give --client-id-in-body',
}

/** What to do about the possible causes. */
export function adviceOn(candidates: readonly Candidate[], about: Refused): string {
  const [only, ...more] = candidates
  if (only !== undefined && more.length === 0) return advice[only](about)
  return candidates.map((candidate, n) => `(${n + 1}) ${advice[candidate](about)}`).join('; ')
}
