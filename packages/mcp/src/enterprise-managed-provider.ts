import { type IdentityAssertionOptions, identityAssertion } from '@countersign/oauth'
import {
  type ClientCredentialsProvider,
  type ClientCredentialsProviderOptions,
  grantProvider,
} from './client-credentials-provider.ts'

/** Options of {@link enterpriseManagedProvider}. */
export interface EnterpriseManagedProviderOptions
  extends ClientCredentialsProviderOptions,
    IdentityAssertionOptions {}

/**
 * Makes the authorization of an MCP client that acts for a user of an enterprise, as its identity provider permits.
 *
 * It is {@link clientCredentialsProvider} with the grant `identityAssertion` of `@countersign/oauth`: the user's token is
 * exchanged at the identity provider for an assertion (ID-JAG), which is the grant at the authorization server of the MCP
 * server. Use one provider for each user.
 *
 * @param options - the identity provider with the client there, the user's token, the client and its authentication at
 *   the authorization server of the MCP server, and the options of `clientCredentialsProvider`.
 * @returns the provider, for both SDK majors.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
 * import type { Signer } from '@countersign/core'
 * import { enterpriseManagedProvider } from '@countersign/mcp'
 * import { privateKeyJwt } from '@countersign/oauth'
 *
 * declare const signer: Signer
 * declare const idToken: () => Promise<string>
 *
 * const provider = enterpriseManagedProvider({
 *   clientId: 'agent-at-as',
 *   authentication: privateKeyJwt(signer),
 *   idp: {
 *     issuer: 'https://idp.example.org',
 *     clientId: 'agent-at-idp',
 *     authentication: privateKeyJwt(signer),
 *   },
 *   subjectToken: idToken,
 * })
 * const transport = new StreamableHTTPClientTransport(new URL('https://mcp.example.com/mcp'), {
 *   fetch: provider.fetch,
 * })
 * ```
 *
 * @see [MCP extension: enterprise-managed authorization](https://modelcontextprotocol.io/extensions/auth/enterprise-managed-authorization)
 */
export function enterpriseManagedProvider(
  options: EnterpriseManagedProviderOptions,
): ClientCredentialsProvider {
  return grantProvider(options, identityAssertion(options))
}
