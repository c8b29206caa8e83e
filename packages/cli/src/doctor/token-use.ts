import { OAuthError } from '@countersign/oauth'
import {
  boundedFetch,
  requireSecureUrl,
  sanitize,
  sanitizeValue,
} from '@countersign/oauth/internal'
import type { Client } from '@modelcontextprotocol/client'
import { version } from '../command.ts'
import { McpError } from '../errors.ts'
import { describeMcpError } from '../mcp-client.ts'
import { explainResourceDpop } from './dpop.ts'
import { type Answer, authenticationOf, type Granted, type TokenInputs } from './requests.ts'
import {
  describeOAuthFailure,
  FailedStep,
  type Failure,
  passed,
  type StepResult,
  warned,
} from './step.ts'

/**
 * Uses the token at the MCP server.
 *
 * When the audience of the token is not known, the server's response shows whether it is right. When it is wrong, the
 * response shows whether the server checks it.
 */
export async function* examineMcp(
  inputs: TokenInputs,
  granted: Granted,
  resource: string,
  mcp: string,
): AsyncGenerator<StepResult, void> {
  const { context, observed } = inputs
  const audience = await audienceOf(inputs, granted, resource)
  const url = new URL(mcp)
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client')
  const client = new Client({ name: 'countersign-doctor', version })
  const transport = new StreamableHTTPClientTransport(url, { fetch: granted.source.fetch })

  /** Returns the result of a request, or describes why it failed. */
  async function outcomeOf<T>(
    request: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ readonly result: T; readonly failure?: undefined } | { readonly failure: Failure }> {
    observed.forgetAnswer(url)
    try {
      return { result: await context.within(request) }
    } catch (error) {
      const failed = describeMcpError(error, url, context.timeoutSeconds)
      const answer = observed.answerOf(url) ?? {}
      const ofDpop = explainResourceDpop(inputs, answer, observed.clockOf(url))
      return { failure: ofDpop ?? explain(failed, answer) }
    }
  }

  try {
    const { failure } = await outcomeOf((signal) => client.connect(transport, { signal }))
    yield audienceByUse(audience, resource, failure)
    if (failure !== undefined) throw new FailedStep('mcp initialize', failure)
    const { name = 'a server', version: its = '' } = client.getServerVersion() ?? {}
    yield passed('mcp initialize', sanitize(`${name} ${its}`.trim()))
    const listing = await outcomeOf((signal) => listTools(client, signal))
    if (listing.failure !== undefined) throw new FailedStep('tools', listing.failure)
    yield passed('tools', listing.result)
  } finally {
    await context.within(() => transport.terminateSession()).catch(() => {})
    await client.close()
  }
}

function audienceByUse(
  { fits, found }: TokenAudience,
  resource: string,
  refusal: Failure | undefined,
): StepResult {
  const name = 'token audience'
  const isRefused = refusal?.code === 'ERR_OAUTH_TOKEN_REFUSED'
  if (fits === false && isRefused) throw new FailedStep(name, otherAudience(found, resource))
  if (fits === true || (fits === undefined && refusal === undefined)) {
    return passed(name, fits === true ? found : `${found}; the MCP server accepts it`)
  }
  if (fits === undefined) {
    return warned(
      name,
      found,
      'check the audience at the authorization server, or introspect the token',
    )
  }
  const remedy = `${otherAudience(found, resource).remedy}; an MCP server that accepts tokens for other resources also accepts tokens that were stolen there`
  return warned(
    name,
    refusal === undefined ? `${found}, and the MCP server accepts it` : found,
    remedy,
  )
}

async function listTools(client: Client, signal: AbortSignal): Promise<string> {
  const { tools, nextCursor } = await client.listTools({}, { signal })
  const names = tools.map(({ name }) => name)
  const more = names.length > 10 || nextCursor !== undefined ? ', …' : ''
  return sanitize(`${names.length} listed: ${names.slice(0, 10).join(', ')}${more}`)
}

/** Describes why a request to the MCP server failed. */
function explain(error: unknown, { status, challenge }: Partial<Answer>): Failure {
  const renewal = OAuthError.is(error) ? error : undefined
  if (status === 403 && challenge?.error === 'insufficient_scope') {
    const { scope } = challenge
    const wanted = scope === undefined ? 'more scope' : `the scope "${sanitize(scope)}"`
    const why = renewal === undefined ? '' : `; ${renewal.message}`
    return {
      found: `HTTP status 403, insufficient_scope: the MCP server needs ${wanted}${why}`,
      remedy: `grant ${wanted} to the client at the authorization server, and request it with --scope`,
      side: 'refused',
    }
  }
  if (renewal !== undefined) return describeOAuthFailure(renewal)
  if (status === 401) {
    const said = challenge?.error === undefined ? '' : `, ${sanitize(challenge.error)}`
    return {
      found: `HTTP status 401${said}: the MCP server refuses the token that was just issued for it`,
      remedy:
        'compare what the MCP server expects of a token (issuer, audience, keys, clock) with what the authorization server puts into it',
      side: 'refused',
      code: 'ERR_OAUTH_TOKEN_REFUSED',
    }
  }
  if (!(error instanceof McpError)) throw error
  const { message, isNetwork } = error
  return {
    found: message,
    remedy: isNetwork
      ? 'check that the MCP server still runs, and check its log'
      : 'check the log of the MCP server, and that the URL is that of its MCP endpoint',
    side: isNetwork ? 'network' : 'refused',
  }
}

/** Checks the audience of the token when there is no MCP server that would check it. */
export async function examineAudience(
  inputs: TokenInputs,
  granted: Granted,
  resource: string,
): Promise<StepResult> {
  const { fits, found } = await audienceOf(inputs, granted, resource)
  if (fits === false) throw new FailedStep('token audience', otherAudience(found, resource))
  if (fits) return passed('token audience', found)
  return warned('token audience', found, 'try the token at the resource: only the resource knows')
}

function otherAudience(found: string, resource: string): Failure {
  const wanted = sanitize(resource)
  return {
    found: `${found}, and not ${wanted}`,
    remedy: `configure the authorization server to put ${wanted} into "aud" of the client's tokens: for the parameter "resource" (RFC 8707), which was sent, or as the audience of the client`,
    side: 'refused',
    code: 'ERR_OAUTH_TOKEN_REFUSED',
  }
}

/** Whether the audience of a token is the resource, as far as the client can see. */
interface TokenAudience {
  /** `undefined` when it is not known. */
  readonly fits: boolean | undefined
  readonly found: string
}

/** Reads the audience from the token when it is a JWT, or else asks the authorization server. */
async function audienceOf(
  inputs: TokenInputs,
  { response: { access_token: token } }: Granted,
  resource: string,
): Promise<TokenAudience> {
  const claims = claimsOf(token)
  if (claims !== undefined) return judge(claims['aud'], resource, '')
  try {
    return judge(await introspect(inputs, token), resource, ', by introspection')
  } catch (error) {
    if (!(error instanceof NoIntrospection)) throw error
    return { fits: undefined, found: `the token is opaque, ${error.message}` }
  }
}

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

/**
 * Returns the audience that introspection shows, RFC 7662. Many servers do not allow that for a client's own tokens.
 *
 * @throws {@link NoIntrospection} that says why there is no result.
 */
async function introspect(inputs: TokenInputs, token: string): Promise<unknown> {
  const { as, context, observed } = inputs
  if (as.introspection_endpoint === undefined) {
    throw new NoIntrospection('and the authorization server has no introspection endpoint')
  }
  const body = new URLSearchParams({ token, token_type_hint: 'access_token' })
  const headers = new Headers({ accept: 'application/json' })
  const answer = await context
    .within(async (signal) => {
      const url = requireSecureUrl(as.introspection_endpoint, 'introspection endpoint', {
        namedBy: as.issuer,
      })
      const authenticate = authenticationOf(inputs)
      await authenticate(as, { client_id: context.clientId }, body, headers, { signal })
      const post = { method: 'POST', headers, body, redirect: 'manual', signal }
      const response = await boundedFetch(observed.fetch, 'ERR_OAUTH_INVALID_RESPONSE')(
        url.href,
        post,
      )
      if (response.ok) return response.json() as Promise<Readonly<Record<string, unknown>>>
      await response.body?.cancel()
      throw new NoIntrospection(
        `and introspection was answered with HTTP status ${response.status}`,
      )
    })
    .catch((error) => {
      if (error instanceof NoIntrospection) throw error
      throw new NoIntrospection('and introspection failed')
    })
  if (answer['active'] !== true) {
    throw new NoIntrospection('and introspection says that it is inactive')
  }
  return answer['aud']
}
