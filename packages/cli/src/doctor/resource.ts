import {
  discoverAuthorizationServer,
  discoverProtectedResource,
  OAuthError,
  type ResourceServer,
} from '@countersign/oauth'
import {
  requireSecureUrl,
  sameIssuer,
  sanitize,
  sanitizeValue,
  type TokenChallenge,
} from '@countersign/oauth/internal'
import { chooseScope } from '../authentication.ts'
import type { ObservedFetch } from './requests.ts'
import {
  attempt,
  describeOAuthFailure,
  type Examination,
  FailedStep,
  type Failure,
  passed,
  type ResourceDpop,
  type StepResult,
  type Target,
  warned,
} from './step.ts'

/** Finds the authorization server and the scope of an MCP server, RFC 9728. */
export async function* examineResource(
  context: Examination,
  observed: ObservedFetch,
  mcp: string,
): AsyncGenerator<StepResult, Target> {
  const url = await attempt((async () => requireSecureUrl(mcp, 'MCP server'))(), 'mcp server')
  yield await requestWithoutToken(context, observed, url)
  const challenge = observed.answerOf(url)?.challenge

  const { href } = new URL(url.pathname, url)
  const metadataUrl = challenge?.resourceMetadata
  const found = await readMetadata(context, observed, href, metadataUrl)
  if (found.metadata === undefined) {
    yield warned(
      'resource metadata',
      found.absence,
      `the authorization server ${found.source} is used; have the MCP server publish its metadata`,
    )
    yield passed('resource', `${href}, because there is no metadata`)
    yield passed('authorization server', `${sanitize(found.issuer)}, ${found.source}`)
    const scope = chooseScope(context, challenge?.scope, undefined)
    const dpop = dpopOf(challenge, undefined)
    return { issuer: found.issuer, resource: href, scope, dpop }
  }
  yield passed(
    'resource metadata',
    metadataUrl === undefined
      ? 'at its well-known location'
      : `at the URL in the challenge: ${sanitize(metadataUrl)}`,
  )
  if (found.mismatch !== undefined) throw new FailedStep('resource', found.mismatch)
  const { metadata } = found
  yield passed('resource', sanitize(metadata.resource))
  const { authorization_servers: named, scopes_supported: supported } = metadata
  const issuer = chooseIssuer(context, href, named)
  const others = named !== undefined && named.length > 1 ? `, one of ${named.length}` : ''
  yield passed('authorization server', `${sanitize(issuer)}${others}`)
  return {
    issuer,
    namedBy: context.issuer === undefined ? href : undefined,
    resource: metadata.resource,
    scope: chooseScope(context, challenge?.scope, supported),
    dpop: dpopOf(challenge, metadata),
  }
}

/** Reads from the challenge and the metadata whether the resource demands DPoP. */
function dpopOf(
  challenge: TokenChallenge | undefined,
  metadata: ResourceServer | undefined,
): ResourceDpop {
  const algs: unknown = metadata?.dpop_signing_alg_values_supported
  if (metadata?.dpop_bound_access_tokens_required === true) {
    return {
      demand: 'the metadata of the MCP server says that it requires DPoP-bound tokens',
      algs,
    }
  }
  const isOnlyDpop = challenge?.schemes.includes('bearer') === false
  return {
    demand: isOnlyDpop ? 'the MCP server asks for DPoP, and not for Bearer' : undefined,
    algs,
  }
}

/** Sends a request without a token; the challenge in the response says where to get one. */
async function requestWithoutToken(
  { within }: Examination,
  { fetch, answerOf }: ObservedFetch,
  url: URL,
): Promise<StepResult> {
  const name = 'mcp server'
  const response = await attempt(
    within((signal) => fetch(url, { ...request, signal }).catch(unreachable(url))),
    name,
  )
  await response.body?.cancel().catch(() => {})
  const { status } = response
  const challenge = answerOf(url)?.challenge
  const found = `HTTP status ${status} without a token`
  if (status === 401 && challenge !== undefined) return passed(name, `${found}, with a challenge`)
  if (status === 401) {
    const remedy = 'have the MCP server send "WWW-Authenticate: Bearer" with its 401'
    return warned(name, `${found}, without a challenge`, remedy)
  }
  if (status >= 500 || status === 429) {
    const code = 'ERR_OAUTH_UNAVAILABLE'
    const remedy = 'check the logs of the MCP server and of a proxy in front of it'
    throw new FailedStep(name, { found, remedy, side: 'network', code })
  }
  if (status === 404 || status === 405 || (status >= 300 && status < 400)) {
    const to = response.headers.get('location')
    const where = to === null ? '' : `, and a redirection to ${sanitize(to)}`
    const remedy = 'give the URL of the MCP endpoint itself, often one that ends in /mcp'
    throw new FailedStep(name, { found: found + where, remedy, side: 'refused' })
  }
  const remedy = 'check that this is an MCP server, and that it should ask for a token'
  return warned(name, `${found}: it does not ask for one`, remedy)
}

/** The first request of any MCP client. */
const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'countersign-doctor', version: '1' },
  },
})

const request = {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
  body: initialize,
  redirect: 'manual',
} as const

function unreachable(url: URL): (cause: unknown) => never {
  return (cause) => {
    const message = `The MCP server ${url.origin}${url.pathname} cannot be reached`
    throw new OAuthError('ERR_OAUTH_UNAVAILABLE', message, { cause })
  }
}

type Metadata =
  | { readonly metadata: ResourceServer; readonly mismatch?: undefined }
  /** The metadata is for another resource. */
  | { readonly metadata: 'other'; readonly mismatch: Failure }
  /** There is no metadata, but an issuer was given, or the origin of the MCP server is an issuer. */
  | {
      readonly metadata?: undefined
      readonly absence: string
      readonly issuer: string
      readonly source: 'that was given' | 'at its own origin'
    }

async function readMetadata(
  context: Examination,
  { fetch }: ObservedFetch,
  href: string,
  metadataUrl: string | undefined,
): Promise<Metadata> {
  try {
    const metadata = await context.within((signal) =>
      discoverProtectedResource(href, { metadataUrl, fetch, signal }),
    )
    return { metadata }
  } catch (error) {
    const failure = describeOAuthFailure(error)
    const { code, found } = failure
    if (code === 'ERR_OAUTH_RESOURCE_MISMATCH') return { metadata: 'other', mismatch: failure }
    if (code !== 'ERR_OAUTH_DISCOVERY') throw new FailedStep('resource metadata', failure)
    const { issuer } = context
    if (issuer !== undefined) return { absence: found, issuer, source: 'that was given' }
    // As in versions of MCP before RFC 9728; the library does the same.
    const { origin } = new URL(href)
    const atOrigin = await context
      .within((signal) => discoverAuthorizationServer(origin, { fetch, signal }))
      .catch(() => undefined)
    context.signal?.throwIfAborted()
    if (atOrigin !== undefined) {
      return { absence: found, issuer: atOrigin.issuer, source: 'at its own origin' }
    }
    throw new FailedStep('resource metadata', { ...failure, remedy: unpublished })
  }
}

const unpublished =
  'have the MCP server publish its metadata (RFC 9728), correct its URL, or give the issuer with --issuer'

function chooseIssuer(
  { issuer }: Examination,
  href: string,
  named: readonly string[] | undefined,
): string {
  const name = 'authorization server'
  const chosen = issuer ?? named?.[0]
  if (chosen === undefined) {
    throw new FailedStep(name, {
      found: `The metadata of ${href} names no authorization server`,
      remedy:
        'have the MCP server list "authorization_servers" in its metadata, or give the issuer with --issuer',
      side: 'refused',
      code: 'ERR_OAUTH_DISCOVERY',
    })
  }
  if (named === undefined || named.some((one) => sameIssuer(one, chosen))) return chosen
  throw new FailedStep(name, {
    found: `The resource ${href} names ${sanitizeValue(named.slice(0, 5))}, and not ${sanitizeValue(chosen)}`,
    remedy:
      'give an issuer that the resource names, character by character; if the resource moved to that server, register the client there; if the given issuer is right, correct the configuration of the MCP server',
    side: 'refused',
    code: 'ERR_OAUTH_ISSUER_MISMATCH',
  })
}
