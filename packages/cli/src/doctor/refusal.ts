import { spkiThumbprint } from '@countersign/core'
import { OAuthError } from '@countersign/oauth'
import { sanitizeValue } from '@countersign/oauth/provider'
import { faultOfDocument } from './client-document.ts'
import { type ClockReading, differs, tolerableSeconds } from './observed-fetch.ts'
import type { Candidate, Failure } from './step.ts'
import {
  askForToken,
  type Change,
  isAdmitted,
  isUnauthenticated,
  type TokenScene,
} from './token-request.ts'

/** What was found out about the refusal of a client. */
export interface Finding {
  readonly candidates: readonly Candidate[]
  /** What was seen on the way. */
  readonly seen: readonly string[]
  /** What to change, where that is known. */
  readonly remedy?: string
}

/** One way in which a server may want an assertion, or the request with it, to be different. */
interface Variant {
  readonly candidate: Candidate
  /** What a server means that complains of it. */
  readonly hint?: Candidate
  readonly change: Change
  readonly name: string
  /** The option of the command. */
  readonly option: string
  /** The option of `privateKeyJwt`. */
  readonly code: string
}

/** An assertion is dated no further ahead than this, or back, to see whether that helps. */
const longestCorrectionSeconds = 3600

/**
 * Tells the causes of `invalid_client` and `invalid_request` apart: by what the server says, by the client's own
 * document, and otherwise by asking the same server again, at most six times, with one thing changed that servers are
 * known to want in another way. It stops at the first change that helps.
 *
 * Servers do not tell whether a client is known, on purpose, and to guess at names until one is refused in another way
 * would be an attack on them.
 */
export async function examineRefusal(
  scene: TokenScene,
  refusal: OAuthError,
  clock: ClockReading | undefined,
): Promise<Finding> {
  const said = hintsIn(refusal.error_description)
  const may = (candidate: Candidate) => said.length === 0 || said.includes(candidate)

  const fault = await faultOfDocument(scene)
  if (fault !== undefined && may(fault.candidate)) {
    return { candidates: [fault.candidate], seen: [fault.seen] }
  }
  let base: Change = {}
  const refused: string[] = []
  if (clock !== undefined && may('clock')) {
    if (Math.abs(clock.aheadSeconds) > longestCorrectionSeconds) {
      const seen = ['nothing else can be told before that is set right']
      return { candidates: said.length > 0 ? said : ['clock', ...unsaid], seen }
    }
    if (differs(clock)) {
      const now = () => scene.context.now() + clock.aheadSeconds * 1000
      if (isAdmitted(await askForToken(scene, { now }))) {
        return { candidates: ['clock'], seen: ['accepted with the time of the server'] }
      }
      refused.push('the time of the server')
      if (differs(clock, tolerableSeconds)) base = { now }
    }
  }
  const found = await tryVariants(scene, refusal, base, refused)
  if (found !== undefined) return found
  const all = said.length > 0 ? said : (['clock', ...unsaid] as const)
  // The clock was compared, if it could be.
  const left = all.filter((candidate) => candidate !== 'clock' || clock === undefined)
  return {
    candidates: left.length > 0 ? left : all,
    seen: refused.length === 0 ? [] : [`refused also with ${refused.join(', with ')}`],
  }
}

/** What servers do not tell apart for a client, and what no change of a request shows. */
const unsaid: readonly Candidate[] = ['client', 'key', 'algorithm']

/** @param refused - gets the name of each change that did not help. */
async function tryVariants(
  scene: TokenScene,
  refusal: OAuthError,
  base: Change,
  refused: string[],
): Promise<Finding | undefined> {
  let latest = refusal
  let kept: readonly Variant[] = []
  for (const variant of variantsFor(scene, refusal)) {
    if (!isSuspected(variant, latest)) continue
    const tried = [...kept.filter(({ candidate }) => candidate !== variant.candidate), variant]
    const change = Object.assign({ ...base }, ...tried.map((one) => one.change)) as Change
    const outcome = await askForToken(scene, change)
    if (isAdmitted(outcome)) return accepted(tried)
    const { error } = outcome as { readonly error: unknown }
    if (OAuthError.is(error) && error.code === 'ERR_OAUTH_AUDIENCE') {
      refused.push(`${variant.name} (not sent: it is of another server, and no --issuer was given)`)
    } else if (isUnauthenticated(error)) {
      refused.push(variant.name)
      // The request is complete by now, and it is the client that is refused.
      if (latest.error === 'invalid_request' && error.error === 'invalid_client') {
        latest = error
        kept = tried
      }
    } else return undefined
  }
  return undefined
}

function isSuspected({ candidate, hint = candidate }: Variant, refusal: OAuthError): boolean {
  if (refusal.error === 'invalid_request' && candidate === 'client_id') return true
  const said = hintsIn(refusal.error_description)
  return said.length === 0 || said.includes(hint)
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

/** The changes to try, the likeliest first, without those that change nothing. */
function variantsFor({ context, signer, as }: TokenScene, refusal: OAuthError): Variant[] {
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

/** Words by which authorization servers say what they have against an assertion. */
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

/** What a server's description of `invalid_client` points at; nothing when it keeps that to itself. */
export function hintsIn(description: string | undefined): Candidate[] {
  // Some recite the standard's list of examples with every refusal, RFC 6749 §5.2.
  const said = (description ?? '').replace(/\(e\.g\.[^)]*\)/g, '')
  return hints.filter(([, words]) => words.test(said)).map(([candidate]) => candidate)
}

/** What is known about a refused client, for remedies. */
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
    `check that a client "${clientId}" is registered with ${issuer}, and to authenticate with private_key_jwt`,
  key: ({ kid, clientId }) =>
    `register the public key (countersign jwks KEY; kid ${kid}) with the client "${clientId}", or have its jwks_uri publish it`,
  algorithm: ({ alg }) => `register ${alg} as the client's token_endpoint_auth_signing_alg`,
  audience: ({ audience }) =>
    `give the audience that the server wants by --audience; it is not ${audience}`,
  typ: () => 'give the type that the server wants by --typ',
  kid: () => 'give the key ID that the server knows the key by, by --kid',
  client_id: () => 'give --client-id-in-body',
}

/** What to do about one or several possible causes. */
export function adviceOn(candidates: readonly Candidate[], about: Refused): string {
  const [only, ...more] = candidates
  if (only !== undefined && more.length === 0) return advice[only](about)
  return candidates.map((candidate, n) => `(${n + 1}) ${advice[candidate](about)}`).join('; ')
}

/** What to do about a server's other errors, RFC 6749 §5.2 and RFC 8707 §2. */
const otherErrors: Readonly<Record<string, string>> = {
  unauthorized_client: 'allow the client the grant client_credentials at the authorization server',
  unsupported_grant_type: 'enable the grant client_credentials at the authorization server',
  invalid_scope: 'ask for a scope that the client may have, by --scope, or grant it to the client',
  invalid_target:
    'register the resource with the authorization server, under the identifier in the metadata of the MCP server, and allow it to the client',
  access_denied: 'have the authorization server’s policy admit the client',
}

/** A remedy that is better than the library's own, if the server's error has one. */
export function withRemedy(failure: Failure, error: unknown): Failure {
  const remedy = OAuthError.is(error) ? otherErrors[error.error ?? ''] : undefined
  return remedy === undefined ? failure : { ...failure, remedy }
}
