import {
  type AuthorizationServer,
  type ClientAuthentication,
  type Fetch,
  OAuthError,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import { bearerChallenge, isWithin, uniteScopes, unlessAborted } from '@countersign/oauth/provider'
import { discoverChallengedResource } from './challenged-resource.ts'
import type {
  AddClientAuthentication,
  SdkClientMetadata,
  SdkDiscoveryState,
  SdkTokens,
} from './sdk-shapes.ts'
import { verifiedDiscovery } from './verified-discovery.ts'

/** Options of {@link clientCredentialsProvider}. */
export interface ClientCredentialsProviderOptions {
  /** The client identifier. */
  readonly clientId: string
  /** How the client proves who it is: `privateKeyJwt`, `externalAssertion`, or a client secret. */
  readonly authentication: ClientAuthentication
  /**
   * Pins the authorization server. Without it, the MCP server decides which authorization server gets to see
   * an assertion for that server, or the secret.
   */
  readonly issuer?: string | undefined
  /** Space-separated scope values to ask for; by default what the resource asks for. */
  readonly scope?: string | undefined
  /** A name for people, as `client_name` of the client's metadata. */
  readonly clientName?: string | undefined
  /** How long what was discovered is kept; 3600 by default. */
  readonly metadataLifetimeSeconds?: number | undefined
  /** Bound on one renewal of the token; 30 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** An `OAuthClientProvider` of both MCP SDK majors, for one MCP server. */
export interface ClientCredentialsProvider {
  readonly redirectUrl: undefined
  readonly clientMetadata: SdkClientMetadata
  /**
   * For the transport's `fetch` option: attaches the token to requests to the MCP server and to no others, and
   * answers a challenge once, with a renewal that all calls share.
   */
  readonly fetch: Fetch
  clientInformation(): { client_id: string; issuer?: string }
  tokens(): Promise<SdkTokens | undefined>
  saveTokens(tokens: SdkTokens): void
  prepareTokenRequest(scope?: string): URLSearchParams
  readonly addClientAuthentication: AddClientAuthentication
  validateResourceURL(serverUrl: string | URL, resource?: string): Promise<URL | undefined>
  discoveryState(): SdkDiscoveryState | undefined
  saveDiscoveryState(state: SdkDiscoveryState): void
  invalidateCredentials(scope: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'): void
  redirectToAuthorization(): never
  saveCodeVerifier(): never
  codeVerifier(): never
}

/** For whom, of whom and for what tokens are asked, once that is known. */
interface Binding {
  readonly as: AuthorizationServer
  readonly resource: string
  readonly scope: string | undefined
}

/**
 * Makes the authorization provider of an MCP client that acts for itself, with no user present.
 *
 * One object serves `@modelcontextprotocol/sdk` (v1) and `@modelcontextprotocol/client` (v2). It renews the token
 * ahead of its expiry, lets concurrent calls share one renewal, keeps discovery, and refuses an authorization server
 * that lies about its issuer, is not https, or does not admit the authentication, before anything is signed. Use one
 * provider for each MCP server, and give its `fetch` to the transport too.
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
  const { clientId, authentication, issuer, scope, clientName } = options
  const { fetch = globalThis.fetch, now = Date.now, metadataLifetimeSeconds = 3600 } = options
  const { timeoutSeconds } = options
  if (typeof clientId !== 'string' || clientId === '') {
    throw new TypeError('"clientId" must be a non-empty string')
  }
  requireAuthentication(authentication)
  const discovery = verifiedDiscovery({
    authentication,
    issuer,
    lifetimeSeconds: metadataLifetimeSeconds,
    now,
  })
  let source: TokenSource | undefined
  let binding: Binding | undefined
  let boundUntil = 0
  let joining: Promise<TokenSource | undefined> | undefined
  // What the SDK is in the middle of asking for, between its calls.
  let asked: Binding | undefined
  let resource: string | undefined
  let challenged: string | undefined

  function bind(to: Binding, tokenResponse?: SdkTokens): TokenSource {
    binding = to
    boundUntil = now() + metadataLifetimeSeconds * 1000
    source = tokenSource({
      issuer: to.as.issuer,
      clientId,
      authentication,
      scope: to.scope,
      resource: to.resource,
      metadata: to.as,
      metadataLifetimeSeconds,
      timeoutSeconds,
      fetch,
      now,
      tokenResponse: tokenResponse && { ...tokenResponse },
    })
    return source
  }

  function unbind(): void {
    binding = undefined
    source = undefined
  }

  async function join(url: URL, response: Response): Promise<TokenSource | undefined> {
    const found = await discoverChallengedResource(url, response, { issuer, fetch, timeoutSeconds })
    if (found === undefined) return undefined
    const { as, resource } = found
    return bind({ as, resource, scope: chooseScope(found.scope, found.scopesSupported) })
  }

  /** What to ask for: the challenge and the caller decide; else everything that the resource supports. */
  function chooseScope(ofChallenge?: string, supported?: readonly string[]): string | undefined {
    return uniteScopes(scope, ofChallenge) ?? uniteScopes(...(supported ?? []))
  }

  async function authorizedFetch(
    input: string | URL | Request,
    init?: RequestInit,
  ): Promise<Response> {
    const url = new URL(input instanceof Request ? input.url : input)
    if (source !== undefined) {
      const response = await source.fetch(input, init)
      // The resource may have moved to another authorization server since it was last asked.
      if (response.status === 401 && now() >= boundUntil) unbind()
      return response
    }
    const again = input instanceof Request ? input.clone() : input
    const response = await fetch(input, init)
    if (response.status !== 401 || isOfAuthorization(url)) return response
    try {
      joining ??= join(url, response).finally(() => {
        joining = undefined
      })
      const joined = await unlessAborted(joining, init?.signal)
      if (joined !== undefined && !(init?.body instanceof ReadableStream)) {
        await response.body?.cancel()
        return await joined.fetch(again, init)
      }
    } catch (error) {
      await response.body?.cancel()
      throw error
    }
    challenged = (await bearerChallenge(response))?.scope
    return response
  }

  /** Tells the SDK's own requests for metadata and tokens, which come through here too, from those to the resource. */
  function isOfAuthorization(url: URL): boolean {
    const endpoint = discovery.state()?.authorizationServerMetadata?.token_endpoint
    return (
      url.pathname.startsWith('/.well-known/') ||
      (endpoint !== undefined && new URL(endpoint).href === url.href)
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
    fetch: authorizedFetch,
    clientInformation: () => ({ client_id: clientId, ...(issuer === undefined ? {} : { issuer }) }),
    async tokens() {
      if (source === undefined) return undefined
      const { access_token, token_type, expires_in, scope: granted } = await source.tokenResponse()
      return { access_token, token_type, expires_in, scope: granted ?? binding?.scope }
    },
    saveTokens(tokens: SdkTokens) {
      if (asked !== undefined) bind(asked, tokens)
    },
    prepareTokenRequest(requested?: string) {
      const supported = discovery.state()?.resourceMetadata?.scopes_supported
      // The SDK hands over the configured scope, the supported ones, or a challenge, and does not say which.
      const ofChallenge = requested === supported?.join(' ') ? undefined : requested
      const wanted = chooseScope(uniteScopes(ofChallenge, challenged), supported)
      challenged = undefined
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
      const wanted = resource ?? params.get('resource') ?? undefined
      // As the metadata spells it: a URL object would have added a slash to some.
      if (wanted !== undefined) params.set('resource', wanted)
      await authentication(as, { client_id: clientId }, params, headers)
      asked =
        wanted === undefined
          ? undefined
          : { as, resource: wanted, scope: params.get('scope') ?? undefined }
    },
    async validateResourceURL(serverUrl: string | URL, ofMetadata?: string) {
      const { href } = new URL(new URL(serverUrl).pathname, serverUrl)
      resource = ofMetadata ?? href
      if (isWithin(new URL(href), new URL(resource))) return new URL(resource)
      throw new OAuthError(
        'ERR_OAUTH_RESOURCE_MISMATCH',
        `The metadata is of the resource ${JSON.stringify(resource)}, which does not cover ${href}; nothing was signed`,
      )
    },
    discoveryState: discovery.state,
    saveDiscoveryState: discovery.verify,
    invalidateCredentials(what: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery') {
      if (what === 'all' || what === 'discovery') discovery.forget()
      if (what === 'all') unbind()
      else if (what === 'tokens' && binding !== undefined) bind(binding)
    },
    redirectToAuthorization: interactive,
    saveCodeVerifier: interactive,
    codeVerifier: interactive,
  })
}

function requireAuthentication(authentication: ClientAuthentication): void {
  const method: unknown = authentication?.method
  if (typeof authentication === 'function' && typeof method === 'string' && method !== 'none')
    return
  throw new TypeError(
    '"authentication" must be privateKeyJwt(…), externalAssertion(…), clientSecretBasic(…) or clientSecretPost(…): the client credentials grant is for clients that authenticate, and "none" does not',
  )
}

function interactive(): never {
  throw new TypeError(
    'a client that acts for itself has no user to send to the authorization server',
  )
}
