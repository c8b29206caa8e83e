import { timeoutSignal } from '@countersign/core/backend'
import { type ChallengedResource, discoverChallengedResource } from '@countersign/mcp/resource'
import { OAuthError, type TokenSourceOptions, tokenSource } from '@countersign/oauth'
import { assertionOptions, chooseScope, pinnedAuthentication } from './authentication.ts'
import { required, requireUrl } from './client-options.ts'
import type { TokenOptions } from './commands/token.ts'
import type { Frame } from './frame.ts'
import { openKey } from './key-option.ts'
import { useProxy } from './proxy.ts'
import { UsageError } from './usage-error.ts'

/** Runs `countersign token`. */
export async function printToken(
  frame: Frame,
  key: string | undefined,
  options: TokenOptions,
): Promise<undefined> {
  const { output, signal } = frame
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  if (options.issuer) await requireUrl(options.issuer, 'issuer of --issuer')
  if (options.resource) await requireUrl(options.resource, 'resource of --resource')
  await using opened = await openKey(frame, key, options)
  await useProxy()
  const where = await whereToAsk(frame, options)
  const source = tokenSource({
    ...where,
    clientId,
    authentication: pinnedAuthentication(opened.signer, {
      ...assertionOptions(options),
      issuer: options.issuer || undefined,
    }),
    timeoutSeconds: options.timeout,
  })
  const response = await frame.progress('Getting an access token', () =>
    source.tokenResponse({ signal }),
  )
  output.print(response, () => output.clean(response.access_token))
}

type Where = Pick<TokenSourceOptions, 'issuer' | 'metadata' | 'resource' | 'scope'>

async function whereToAsk(frame: Frame, options: TokenOptions): Promise<Where> {
  const { issuer, scope, resource, mcp } = options
  if (mcp) {
    const found = await challengedResource(frame, mcp, options)
    return {
      issuer: found.as.issuer,
      metadata: found.as,
      resource: resource || found.resource,
      scope: chooseScope(options, found.scope, found.scopesSupported),
    }
  }
  if (issuer) return { issuer, resource: resource || undefined, scope: scope || undefined }
  throw new UsageError(
    '--issuer or --mcp is missing; give one, or set COUNTERSIGN_ISSUER or COUNTERSIGN_MCP_URL',
  )
}

/** Asks the MCP server as any client would, without a token, and learns from its refusal where to get one. */
async function challengedResource(
  frame: Frame,
  mcp: string,
  { issuer, timeout }: TokenOptions,
): Promise<ChallengedResource> {
  const url = await requireUrl(mcp, 'MCP server of --mcp')
  const signal = AbortSignal.any([frame.signal, timeoutSignal(timeout)])
  return frame.progress('Asking the MCP server where to get a token', async () => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
      redirect: 'manual',
      signal,
    }).catch((cause: unknown) => {
      if (signal.aborted) throw signal.reason
      const message = `The MCP server ${url.origin}${url.pathname} cannot be reached`
      throw new OAuthError('ERR_OAUTH_UNAVAILABLE', message, { cause })
    })
    await response.body?.cancel()
    return discoverChallengedResource(url, response, {
      issuer: issuer || undefined,
      fetch,
      timeoutSeconds: timeout,
      signal: frame.signal,
    })
  })
}
