import { type DiscoveredResource, discoverResource } from '@countersign/mcp/internal'
import { type TokenSourceOptions, tokenSource } from '@countersign/oauth'
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
    const found = await discoveredResource(frame, mcp, options)
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

/** Discovers where the MCP server gets its tokens from, by a request without a token. */
async function discoveredResource(
  frame: Frame,
  mcp: string,
  { issuer, timeout }: TokenOptions,
): Promise<DiscoveredResource> {
  const url = await requireUrl(mcp, 'MCP server of --mcp')
  return frame.progress('Asking the MCP server where to get a token', () =>
    discoverResource(url, {
      issuer: issuer || undefined,
      fetch,
      timeoutSeconds: timeout,
      signal: frame.signal,
    }),
  )
}
