import type { Fetch } from '@countersign/oauth'
import { limitScope, uniteScopes } from '@countersign/oauth/provider'
import { discoverChallengedResource } from './challenged-resource.ts'
import { type ClientCredentialsProviderOptions, readOptions } from './client-credentials-options.ts'
import { type CredentialScope, keyReplacement } from './key-replacement.ts'
import { resourceFetch } from './resource-fetch.ts'
import { resourceIndicator } from './resource-indicator.ts'
import { type Binding, resourceTokens } from './resource-tokens.ts'
import type {
  AddClientAuthentication,
  SdkClientMetadata,
  SdkDiscoveryState,
  SdkTokens,
} from './sdk-shapes.ts'
import { verifiedDiscovery } from './verified-discovery.ts'

/** An `OAuthClientProvider` of both MCP SDK majors, for one MCP server. */
export interface ClientCredentialsProvider {
  readonly redirectUrl: undefined
  readonly clientMetadata: SdkClientMetadata
  /**
   * For the transport's `fetch` option: attaches the token to requests to the MCP server and to no others, and
   * answers a challenge once, with a token that all calls share. It throws an `OAuthError` when no token can be had, or
   * the server refuses the new one as well.
   */
  readonly fetch: Fetch
  clientInformation(): { client_id: string; issuer?: string }
  tokens(): Promise<SdkTokens | undefined>
  saveTokens(tokens: SdkTokens): void
  prepareTokenRequest(scope?: string): URLSearchParams
  readonly addClientAuthentication: AddClientAuthentication
  validateResourceURL(serverUrl: string | URL, resource?: string): Promise<URL | undefined>
  saveDiscoveryState(state: SdkDiscoveryState): void
  invalidateCredentials(scope: CredentialScope): Promise<void>
  redirectToAuthorization(): never
  saveCodeVerifier(): never
  codeVerifier(): never
}

/**
 * Makes the authorization provider of an MCP client that acts for itself, with no user present.
 *
 * One object serves `@modelcontextprotocol/sdk` (v1) and `@modelcontextprotocol/client` (v2). It renews the token
 * ahead of its expiry, lets concurrent calls share one renewal, and refuses an authorization server that lies about its
 * issuer, is not https, or does not admit the authentication, before anything is signed. Use one provider for each MCP
 * server, and give its `fetch` to the transport as well.
 *
 * @param options - client identifier and authentication; a pin on the issuer; scope.
 * @returns the provider. What it throws reaches the caller of the SDK: an `OAuthError` when a server is refused or
 *   refuses, a `SignerError` when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type; the method `none` is no authentication.
 *
 * @example
 * ```ts
 * import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
 * import type { Signer } from '@countersign/core'
 * import { clientCredentialsProvider } from '@countersign/mcp'
 * import { privateKeyJwt } from '@countersign/oauth'
 *
 * declare const signer: Signer
 *
 * const provider = clientCredentialsProvider({
 *   clientId: 'billing-agent',
 *   issuer: 'https://as.example.com',
 *   authentication: privateKeyJwt(signer),
 * })
 * const transport = new StreamableHTTPClientTransport(new URL('https://mcp.example.com/mcp'), {
 *   authProvider: provider,
 *   fetch: provider.fetch,
 * })
 * ```
 *
 * @see [MCP extension: OAuth client credentials](https://modelcontextprotocol.io/extensions/auth/oauth-client-credentials)
 */
export function clientCredentialsProvider(
  options: ClientCredentialsProviderOptions,
): ClientCredentialsProvider {
  const settings = readOptions(options)
  const { clientId, authentication, issuer, scope, maxScope, clientName, timeoutSeconds } = settings
  const discovery = verifiedDiscovery(authentication, issuer)
  const tokens = resourceTokens(settings)
  const keys = keyReplacement()
  const tokenRequests = new WeakSet<URLSearchParams>()
  // What the SDK does not hand from one of its calls to the next. Flows that run at once may overwrite each other's,
  // so it decides neither to whom an assertion goes nor what it asks for.
  let asked: Binding | undefined

  /** What to ask for: the caller and the challenge decide; else everything that the resource supports. */
  function chooseScope(ofChallenge?: string, supported?: readonly string[]): string | undefined {
    return (
      uniteScopes(scope, limitScope(ofChallenge, maxScope)) ??
      limitScope(supported?.join(' '), maxScope)
    )
  }

  return Object.freeze({
    redirectUrl: undefined,
    clientMetadata: {
      redirect_uris: [],
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: authentication.method,
      ...(clientName === undefined ? {} : { client_name: clientName }),
      ...(scope === undefined ? {} : { scope }),
    },
    fetch: resourceFetch({
      ...settings,
      tokens,
      async discover(url, response) {
        const { fetch } = settings
        const found = await discoverChallengedResource(url, response, {
          issuer,
          fetch,
          timeoutSeconds,
        })
        return { ...found, scope: chooseScope(found.scope, found.scopesSupported) }
      },
      isTokenRequest: (body) => body instanceof URLSearchParams && tokenRequests.has(body),
    }),
    clientInformation: () => ({ client_id: clientId, ...(issuer === undefined ? {} : { issuer }) }),
    async tokens() {
      const bound = await tokens.ready()
      if (bound === undefined) return undefined
      const { access_token, token_type, expires_in, scope } = await bound.source.tokenResponse()
      return { access_token, token_type, expires_in, scope: scope ?? bound.scope }
    },
    saveTokens(granted: SdkTokens) {
      if (asked !== undefined) tokens.bind(asked, granted)
    },
    prepareTokenRequest(requested?: string) {
      const supported = discovery.latest()?.resourceMetadata?.scopes_supported
      // The SDK hands over the configured scope, the supported ones, or a challenge, and does not say which.
      const ofChallenge = requested === supported?.join(' ') ? undefined : requested
      const wanted = chooseScope(ofChallenge, supported)
      return new URLSearchParams({
        grant_type: 'client_credentials',
        ...(wanted === undefined ? {} : { scope: wanted }),
      })
    },
    async addClientAuthentication(
      headers: Headers,
      params: URLSearchParams,
      url: string | URL,
      metadata?: Parameters<AddClientAuthentication>[3],
    ) {
      const as = discovery.require(metadata, url)
      tokenRequests.add(params)
      const { onReplaceable } = keys
      await authentication(as, { client_id: clientId }, params, headers, { onReplaceable })
      const resource = params.get('resource')
      asked =
        resource === null ? undefined : { as, resource, scope: params.get('scope') ?? undefined }
    },
    async validateResourceURL(serverUrl: string | URL, ofMetadata?: string) {
      const { href } = new URL(new URL(serverUrl).pathname, serverUrl)
      return resourceIndicator(href, ofMetadata)
    },
    saveDiscoveryState: discovery.verify,
    async invalidateCredentials(what: CredentialScope) {
      const bound = tokens.current()
      if (what === 'all' || what === 'discovery') tokens.unbind()
      else if (what === 'tokens' && bound !== undefined) tokens.bind(bound)
      await keys.afterInvalidation(what)
    },
    redirectToAuthorization: interactive,
    saveCodeVerifier: interactive,
    codeVerifier: interactive,
  })
}

function interactive(): never {
  throw new TypeError(
    'a client that acts for itself has no user to send to the authorization server',
  )
}
