import type { AuthorizationServer, ClientAuthentication, Fetch } from '@countersign/oauth'
import {
  boundedFetch,
  requireSecureUrl,
  sanitize,
  sanitizeValue,
} from '@countersign/oauth/provider'
import { BrokenStep, type Failure, passed, type StepResult, warned } from './step.ts'
import { authenticationOf, type Granted, type TokenScene } from './token-request.ts'

/** Says whom the token is for, where there is no server to judge it. */
export async function examineAudience(
  scene: TokenScene,
  granted: Granted,
  resource: string,
): Promise<StepResult> {
  const { fits, found } = await lookAtAudience(scene, granted, resource)
  if (fits === false) throw new BrokenStep('token audience', otherAudience(found, resource))
  if (fits) return passed('token audience', found)
  return warned('token audience', found, 'use the token at the resource: only that can tell')
}

export function lookAtAudience(
  scene: TokenScene,
  { response }: Granted,
  resource: string,
): Promise<TokenAudience> {
  const { as, context, observed } = scene
  const { clientId, within } = context
  const authentication = authenticationOf(scene)
  const { fetch } = observed
  return audienceOf(response.access_token, resource, {
    as,
    clientId,
    authentication,
    fetch,
    within,
  })
}

export function otherAudience(found: string, resource: string): Failure {
  const wanted = sanitize(resource)
  return {
    found: `${found}, and not to ${wanted}`,
    remedy: `have the authorization server put ${wanted} into "aud" of the client's tokens: by the parameter "resource" (RFC 8707), which was sent, or by an audience configured for the client`,
    side: 'refused',
    code: 'ERR_OAUTH_TOKEN_REFUSED',
  }
}

/** Whether a token is made out to a resource, as far as can be seen from where the client stands. */
export interface TokenAudience {
  /** `undefined` when it cannot be told. */
  readonly fits: boolean | undefined
  readonly found: string
}

/** What is needed to ask the authorization server about a token. */
export interface Introspection {
  readonly as: AuthorizationServer
  readonly clientId: string
  readonly authentication: ClientAuthentication
  readonly fetch: Fetch
  readonly within: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>
}

/** Looks for the audience in the token itself, when it is a JWT, else asks the authorization server. */
async function audienceOf(
  token: string,
  resource: string,
  introspection: Introspection,
): Promise<TokenAudience> {
  const claims = claimsOf(token)
  if (claims !== undefined) return judge(claims['aud'], resource, 'the token')
  return introspect(token, resource, introspection).catch((error) => {
    if (error instanceof Unanswered)
      return { fits: undefined, found: `${opaque}, ${error.message}` }
    throw error
  })
}

const opaque = 'the token is opaque'

function judge(aud: unknown, resource: string, what: string): TokenAudience {
  if (aud === undefined) return { fits: undefined, found: `${what} names no audience` }
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  const fits = named.some((one) => typeof one === 'string' && sameResource(one, resource))
  return { fits, found: `${what} is made out to ${sanitizeValue(aud)}` }
}

function sameResource(one: string, other: string): boolean {
  return one === other || normal(one) === normal(other)
}

const normal = (url: string): string => (URL.canParse(url) ? new URL(url).href : url)

/** The claims of a signed JWT; its signature is the resource's matter. */
function claimsOf(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, payload, ...rest] = token.split('.')
  if (payload === undefined || rest.length !== 1) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined
  } catch {
    return undefined
  }
}

/** Why introspection told nothing. */
class Unanswered extends Error {}

/** Asks by RFC 7662; many servers do not let clients ask about their own tokens. */
async function introspect(
  token: string,
  resource: string,
  { as, clientId, authentication, fetch, within }: Introspection,
): Promise<TokenAudience> {
  if (as.introspection_endpoint === undefined) {
    throw new Unanswered('and the authorization server has no introspection endpoint')
  }
  const body = new URLSearchParams({ token, token_type_hint: 'access_token' })
  const headers = new Headers({ accept: 'application/json' })
  const answer = await within(async (signal) => {
    const url = requireSecureUrl(as.introspection_endpoint, 'introspection endpoint', {
      namedBy: as.issuer,
    })
    await authentication(as, { client_id: clientId }, body, headers, { signal })
    const post = { method: 'POST', headers, body, redirect: 'manual', signal }
    const response = await boundedFetch(fetch, 'ERR_OAUTH_INVALID_RESPONSE')(url.href, post)
    if (response.ok) return response.json() as Promise<Readonly<Record<string, unknown>>>
    await response.body?.cancel()
    throw new Unanswered(`and asking about it was answered with HTTP status ${response.status}`)
  }).catch((error) => {
    if (error instanceof Unanswered) throw error
    throw new Unanswered('and the authorization server could not be asked about it')
  })
  if (answer['active'] !== true) {
    throw new Unanswered('and the authorization server calls it inactive when asked')
  }
  return judge(answer['aud'], resource, 'the token, by introspection,')
}
