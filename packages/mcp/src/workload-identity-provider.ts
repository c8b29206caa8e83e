import {
  type ClientAuthentication,
  publicClient,
  type WorkloadIdentityOptions,
  workloadIdentity,
} from '@countersign/oauth'
import { ownOptions } from '@countersign/oauth/internal'
import {
  type ClientCredentialsProvider,
  type ClientCredentialsProviderOptions,
  grantProvider,
} from './client-credentials-provider.ts'

/** Options of {@link workloadIdentityProvider}. */
export type WorkloadIdentityProviderOptions = Omit<
  ClientCredentialsProviderOptions,
  'authentication'
> &
  WorkloadIdentityOptions & {
    /** How the client authenticates in addition; `publicClient()` by default, since the platform's JWT proves enough. */
    readonly authentication?: ClientAuthentication | undefined
  }

/**
 * Makes the authorization of an MCP client that its platform identifies: workload identity federation.
 *
 * It is {@link clientCredentialsProvider} with the grant `workloadIdentity` of `@countersign/oauth`: the platform's JWT is
 * read again for each token request. Without the option `issuer`, the MCP server names the authorization server, and the
 * JWT is sent only if its `aud` is that server.
 *
 * @param options - the client identifier, the file with the platform's JWT or a function that returns it, and the options
 *   of `clientCredentialsProvider`.
 * @returns the provider, for both SDK majors.
 * @throws `TypeError` when an option is not of its type, or not exactly one of `file` and `token` is given.
 *
 * @example
 * ```ts
 * import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
 * import { workloadIdentityProvider } from '@countersign/mcp'
 *
 * const provider = workloadIdentityProvider({
 *   clientId: 'billing-workload',
 *   issuer: 'https://as.example.com',
 *   file: '/var/run/secrets/tokens/as',
 * })
 * const transport = new StreamableHTTPClientTransport(new URL('https://mcp.example.com/mcp'), {
 *   fetch: provider.fetch,
 * })
 * ```
 *
 * @see [RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)
 */
export function workloadIdentityProvider(
  options: WorkloadIdentityProviderOptions,
): ClientCredentialsProvider {
  const { authentication = publicClient(), ...own } = ownOptions(options)
  return grantProvider({ ...own, authentication }, workloadIdentity(own))
}
