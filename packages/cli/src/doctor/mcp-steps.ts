import { OAuthError } from '@countersign/oauth'
import { sanitize } from '@countersign/oauth/provider'
import type { Client } from '@modelcontextprotocol/client'
import { describeMcpError, McpError } from '../mcp-error.ts'
import { version } from '../version.ts'
import { authenticationOf, type Granted, type TokenScene } from './ask-for-token.ts'
import { audienceOf, type TokenAudience } from './audience.ts'
import { describeOAuthFailure } from './oauth-failure.ts'
import type { Answer } from './observed-fetch.ts'
import { BrokenStep, type Failure, passed, type StepResult, warned } from './step.ts'

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

/**
 * Uses the token at the MCP server. Whether its audience is right shows there, where the token does not say; and where
 * it says otherwise, whether the server minds.
 */
export async function* examineMcp(
  scene: TokenScene,
  granted: Granted,
  resource: string,
  mcp: string,
): AsyncGenerator<StepResult, void> {
  const { context, observed } = scene
  const audience = await lookAtAudience(scene, granted, resource)
  const url = new URL(mcp)
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client')
  const client = new Client({ name: 'countersign-doctor', version })
  const transport = new StreamableHTTPClientTransport(url, { fetch: granted.source.fetch })

  /** What a request comes to: its result, or why it failed. */
  async function outcomeOf<T>(
    request: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ readonly result: T; readonly failure?: undefined } | { readonly failure: Failure }> {
    observed.forgetAnswer(url)
    try {
      return { result: await context.within(request) }
    } catch (error) {
      const failed = describeMcpError(error, url, context.timeoutSeconds)
      return { failure: explain(failed, observed.answerOf(url)) }
    }
  }

  try {
    const { failure } = await outcomeOf((signal) => client.connect(transport, { signal }))
    yield audienceByUse(audience, resource, failure)
    if (failure !== undefined) throw new BrokenStep('mcp initialize', failure)
    const { name = 'a server', version: its = '' } = client.getServerVersion() ?? {}
    yield passed('mcp initialize', sanitize(`${name} ${its}`.trim()))
    const listing = await outcomeOf((signal) => listTools(client, signal))
    if (listing.failure !== undefined) throw new BrokenStep('tools', listing.failure)
    yield passed('tools', listing.result)
  } finally {
    await context.within(() => transport.terminateSession()).catch(() => {})
    await client.close()
  }
}

function lookAtAudience(
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

function audienceByUse(
  { fits, found }: TokenAudience,
  resource: string,
  refusal: Failure | undefined,
): StepResult {
  const name = 'token audience'
  const isRefused = refusal?.code === 'ERR_OAUTH_TOKEN_REFUSED'
  if (fits === false && isRefused) throw new BrokenStep(name, otherAudience(found, resource))
  if (fits === true || (fits === undefined && refusal === undefined)) {
    return passed(name, fits === true ? found : `${found}; the MCP server takes it`)
  }
  if (fits === undefined) {
    return warned(name, found, 'look into the token at the authorization server, or introspect it')
  }
  const remedy = `${otherAudience(found, resource).remedy}; a server that takes tokens for others can be made to take stolen ones`
  return warned(
    name,
    refusal === undefined ? `${found}, and the MCP server takes it` : found,
    remedy,
  )
}

function otherAudience(found: string, resource: string): Failure {
  const wanted = sanitize(resource)
  return {
    found: `${found}, and not to ${wanted}`,
    remedy: `have the authorization server put ${wanted} into "aud" of the client's tokens: by the parameter "resource" (RFC 8707), which was sent, or by an audience configured for the client`,
    side: 'refused',
    code: 'ERR_OAUTH_TOKEN_REFUSED',
  }
}

async function listTools(client: Client, signal: AbortSignal): Promise<string> {
  const { tools, nextCursor } = await client.listTools({}, { signal })
  const names = tools.map(({ name }) => name)
  const more = names.length > 10 || nextCursor !== undefined ? ', …' : ''
  return sanitize(`${names.length} listed: ${names.slice(0, 10).join(', ')}${more}`)
}

/** Why a request to the MCP server failed. */
function explain(error: unknown, answer: Answer | undefined): Failure {
  const { status, challenge } = answer ?? {}
  const renewal = OAuthError.is(error) ? error : undefined
  if (status === 403 && challenge?.error === 'insufficient_scope') {
    const { scope } = challenge
    const wanted = scope === undefined ? 'more scope' : `the scope "${sanitize(scope)}"`
    const why = renewal === undefined ? '' : `; ${renewal.message}`
    return {
      found: `HTTP status 403, insufficient_scope: the MCP server wants ${wanted}${why}`,
      remedy: `grant ${wanted} to the client at the authorization server, and ask for it by --scope`,
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
      ? 'check that the MCP server still runs, and look into its log'
      : 'look into the log of the MCP server, and check that the URL is that of its MCP endpoint',
    side: isNetwork ? 'network' : 'refused',
  }
}
