import { OAuthError } from '@countersign/oauth'
import { sanitize } from '@countersign/oauth/internal'
import type { Client } from '@modelcontextprotocol/client'
import { version } from '../command.ts'
import { describeMcpError, McpError } from '../mcp-error.ts'
import { examineTokenAudience, otherAudience, type TokenAudience } from './audience.ts'
import type { Answer } from './observed-fetch.ts'
import {
  describeOAuthFailure,
  FailedStep,
  type Failure,
  passed,
  type StepResult,
  warned,
} from './step.ts'
import type { Granted, TokenInputs } from './token-request.ts'

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
  const audience = await examineTokenAudience(inputs, granted, resource)
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
      return { failure: explain(failed, observed.answerOf(url)) }
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
function explain(error: unknown, answer: Answer | undefined): Failure {
  const { status, challenge } = answer ?? {}
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
