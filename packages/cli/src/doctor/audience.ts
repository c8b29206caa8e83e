import type { AuthorizationServer, ClientAuthentication, Fetch } from '@countersign/oauth'
import {
  boundedFetch,
  requireSecureUrl,
  sanitize,
  sanitizeValue,
} from '@countersign/oauth/internal'
import { FailedStep, type Failure, passed, type StepResult, warned } from './step.ts'
import { authenticationOf, type Granted, type TokenInputs } from './token-request.ts'

/** Checks the audience of the token when there is no MCP server that would check it. */
export async function examineAudience(
  inputs: TokenInputs,
  granted: Granted,
  resource: string,
): Promise<StepResult> {
  const { fits, found } = await examineTokenAudience(inputs, granted, resource)
  if (fits === false) throw new FailedStep('token audience', otherAudience(found, resource))
  if (fits) return passed('token audience', found)
  return warned(
    'token audience',
    found,
    'try the token at the resource: only the resource can tell',
  )
}

export function examineTokenAudience(
  inputs: TokenInputs,
  { response }: Granted,
  resource: string,
): Promise<TokenAudience> {
  const { as, context, observed } = inputs
  const { clientId, within } = context
  const authentication = authenticationOf(inputs)
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
    found: `${found}, and not ${wanted}`,
    remedy: `configure the authorization server to put ${wanted} into "aud" of the client's tokens: for the parameter "resource" (RFC 8707), which was sent, or as the audience of the client`,
    side: 'refused',
    code: 'ERR_OAUTH_TOKEN_REFUSED',
  }
}

/** Whether the audience of a token is the resource, as far as the client can see. */
export interface TokenAudience {
  /** `undefined` when it is not known. */
  readonly fits: boolean | undefined
  readonly found: string
}

/** What introspection needs. */
export interface Introspection {
  readonly as: AuthorizationServer
  readonly clientId: string
  readonly authentication: ClientAuthentication
  readonly fetch: Fetch
  readonly within: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>
}

/** Reads the audience from the token when it is a JWT, or else asks the authorization server. */
async function audienceOf(
  token: string,
  resource: string,
  introspection: Introspection,
): Promise<TokenAudience> {
  const claims = claimsOf(token)
  if (claims !== undefined) return judge(claims['aud'], resource, '')
  return introspect(token, resource, introspection).catch((error) => {
    if (error instanceof NoIntrospection)
      return { fits: undefined, found: `${opaque}, ${error.message}` }
    throw error
  })
}

const opaque = 'the token is opaque'

function judge(aud: unknown, resource: string, source: string): TokenAudience {
  if (aud === undefined) return { fits: undefined, found: `the token has no audience${source}` }
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  const fits = named.some((one) => typeof one === 'string' && sameResource(one, resource))
  return { fits, found: `the audience of the token is ${sanitizeValue(aud)}${source}` }
}

function sameResource(one: string, other: string): boolean {
  return one === other || normal(one) === normal(other)
}

const normal = (url: string): string => (URL.canParse(url) ? new URL(url).href : url)

/** The claims of a signed JWT. The resource, and not the client, verifies its signature. */
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

/** Why introspection gave no result. */
class NoIntrospection extends Error {}

/** Introspects the token, RFC 7662. Many servers do not allow that for a client's own tokens. */
async function introspect(
  token: string,
  resource: string,
  { as, clientId, authentication, fetch, within }: Introspection,
): Promise<TokenAudience> {
  if (as.introspection_endpoint === undefined) {
    throw new NoIntrospection('and the authorization server has no introspection endpoint')
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
    throw new NoIntrospection(`and introspection was answered with HTTP status ${response.status}`)
  }).catch((error) => {
    if (error instanceof NoIntrospection) throw error
    throw new NoIntrospection('and introspection failed')
  })
  if (answer['active'] !== true) {
    throw new NoIntrospection('and introspection says that it is inactive')
  }
  return judge(answer['aud'], resource, ', by introspection')
}
