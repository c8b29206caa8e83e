import {
  type ClientAuthentication,
  type Fetch,
  type Grant,
  OAuthError,
  type TokenSourceOptions,
} from '@countersign/oauth'
import {
  Deadline,
  ownOptions,
  readDpop,
  requireString,
  requireTimeout,
  sanitize,
} from '@countersign/oauth/internal'
import { authorizedFetch } from './authorized-fetch.ts'
import { providerAuthentication, providerGrant } from './client-authentication.ts'
import { ping } from './resource-discovery.ts'
import { type ResourceTokensSettings, resourceTokens } from './resource-tokens.ts'
import {
  type ClientCredentialsFlow,
  type ClientMetadata,
  clientCredentialsFlow,
  type Tokens,
} from './sdk-flow.ts'

/** Options of {@link clientCredentialsProvider}. */
export interface ClientCredentialsProviderOptions {
  /** The client identifier. */
  readonly clientId: string
  /** How the client authenticates: `privateKeyJwt`, `externalAssertion`, or a client secret. */
  readonly authentication: ClientAuthentication
  /**
   * Binds the tokens to a key, as the option `dpop` of `tokenSource` does. Use the provider's `fetch`; with SDK v2, the
   * provider may also be used as an `OAuthClientProvider`, whose tokens are then sent with proofs by the SDK.
   */
  readonly dpop?: TokenSourceOptions['dpop']
  /**
   * Pins the authorization server. Without it, the MCP server decides which authorization server gets the secret, or an
   * assertion, whose audience is then that server and no other.
   */
  readonly issuer?: string | undefined
  /**
   * The URL of the MCP server. Needed only where the provider is used as an `OAuthClientProvider` without its `fetch`,
   * because the SDKs do not tell such a provider the URL. It has to be the URL of the transport, since the SDK attaches
   * the token to every request of that transport.
   */
  readonly serverUrl?: string | URL | undefined
  /** Space-separated scope values to request; by default what the resource asks for. */
  readonly scope?: string | undefined
  /**
   * Space-separated scope values that the resource may ask for in addition to `scope`, in its challenges and in its
   * metadata; all by default. A resource that asks for more than 100 values or 4,096 octets gets none of them.
   */
  readonly maxScope?: string | undefined
  /** A name for people, as `client_name` of the client's metadata. */
  readonly clientName?: string | undefined
  /** How long the metadata of the authorization server is used before it is fetched again; 3600 by default. */
  readonly metadataLifetimeSeconds?: number | undefined
  /** Bound on one renewal of the token; 30 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** Authorization for the MCP client of one MCP server. Its `fetch` is enough; the other members adapt to it. */
export interface ClientCredentialsProvider extends ClientCredentialsFlow {
  /**
   * For the option `fetch` of a transport. Attaches the token to requests to the MCP server and to no others, and
   * answers a challenge once, with a token that all calls share. Throws an `OAuthError` when no token can be obtained,
   * or when the server refuses the new one.
   */
  readonly fetch: Fetch
  /** An `AuthProvider` of SDK v2, for a framework that takes one and no `fetch`. */
  readonly authProvider: {
    token(): Promise<string | undefined>
    onUnauthorized(context: { readonly serverUrl: URL }): Promise<void>
  }
  // The members of an OAuthClientProvider of both SDK majors, for a framework that takes nothing else.
  readonly redirectUrl: undefined
  readonly clientMetadata: ClientMetadata
  clientInformation(): { client_id: string; issuer?: string }
  tokens(): Promise<Tokens | undefined>
  redirectToAuthorization(): never
  saveCodeVerifier(): never
  codeVerifier(): never
}

/**
 * Makes the authorization of an MCP client that acts for itself, without a user.
 *
 * Its `fetch` works with `@modelcontextprotocol/sdk` (v1) and `@modelcontextprotocol/client` (v2). It renews the token
 * ahead of its expiry, lets concurrent calls share one renewal, and refuses an authorization server that claims another
 * issuer, is not https, or does not accept the authentication, before anything is signed. Use one provider for each MCP
 * server.
 *
 * @param options - client identifier and authentication; a pinned issuer; scope.
 * @returns the provider. Its errors reach the caller of the SDK: an `OAuthError` when a server is refused or refuses, a
 *   `SignerError` when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type, or the authentication has the method `none`.
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
 *   fetch: provider.fetch,
 * })
 * ```
 *
 * @see [MCP extension: OAuth client credentials](https://modelcontextprotocol.io/extensions/auth/oauth-client-credentials)
 */
export function clientCredentialsProvider(
  options: ClientCredentialsProviderOptions,
): ClientCredentialsProvider {
  return grantProvider(options)
}

/**
 * Makes a provider whose tokens are requested with a grant.
 *
 * @param grant - by default, that of client credentials. With another one, the client may have the method `none`.
 */
export function grantProvider(
  options: ClientCredentialsProviderOptions,
  grant?: Grant,
): ClientCredentialsProvider {
  const settings = readOptions(options, grant)
  const { clientId, issuer, scope, serverUrl, clientName, timeoutSeconds, dpop } = settings
  const tokens = resourceTokens(settings)
  const fetch = authorizedFetch({ fetch: settings.fetch, tokens, dpop, serverUrl })
  let pinging: Promise<void> | undefined

  /** Has `fetch` obtain a token that the MCP server accepts. Concurrent callers share one request. */
  function obtainToken(url: URL): Promise<void> {
    pinging ??= sendPing(url).finally(() => {
      pinging = undefined
    })
    return pinging
  }

  async function sendPing(url: URL): Promise<void> {
    const deadline = new Deadline(timeoutSeconds, undefined, () => {
      const message = `The MCP server ${sanitize(url.origin)} accepted no token within ${timeoutSeconds} s`
      return new OAuthError('ERR_OAUTH_TIMEOUT', message)
    })
    const response = await deadline.settle(fetch(url, { ...ping, signal: deadline.signal }))
    await response.body?.cancel()
  }

  return Object.freeze({
    fetch,
    authProvider: Object.freeze({
      async token() {
        if (dpop?.required === true) throw new TypeError(needsFetch)
        return (await tokens.ready())?.source.token()
      },
      onUnauthorized: (context: { readonly serverUrl: URL }) => obtainToken(context.serverUrl),
    }),
    redirectUrl: undefined,
    clientMetadata: {
      redirect_uris: [],
      grant_types: [grant === undefined ? 'client_credentials' : jwtBearer],
      token_endpoint_auth_method: settings.authentication.method,
      ...(clientName === undefined ? {} : { client_name: clientName }),
      ...(scope === undefined ? {} : { scope }),
    },
    clientInformation: () => ({ client_id: clientId, ...(issuer === undefined ? {} : { issuer }) }),
    async tokens() {
      let used = await tokens.ready()
      if (used === undefined && serverUrl !== undefined) {
        await obtainToken(serverUrl)
        used = tokens.current()
      }
      if (used === undefined) return undefined
      const { access_token, token_type, expires_in, scope } = await used.source.tokenResponse()
      return { access_token, token_type, expires_in, scope: scope ?? used.scope }
    },
    ...clientCredentialsFlow(settings, tokens),
    redirectToAuthorization: refuseInteraction,
    saveCodeVerifier: refuseInteraction,
    codeVerifier: refuseInteraction,
  })
}

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

const needsFetch =
  'an AuthProvider has no place for DPoP proofs; give the transport `fetch: provider.fetch` in place of `authProvider`'

function refuseInteraction(): never {
  throw new TypeError(
    'this provider authenticates a client that acts for itself; it cannot send a user to the authorization server',
  )
}

/** Options that were checked, with their defaults. */
interface Settings extends ResourceTokensSettings {
  readonly serverUrl: URL | undefined
  readonly clientName: string | undefined
}

function readOptions(
  options: ClientCredentialsProviderOptions,
  grant: Grant | undefined,
): Settings {
  const own = ownOptions(options)
  const { clientId, issuer, serverUrl, scope, maxScope, clientName } = own
  const { metadataLifetimeSeconds = 3600, timeoutSeconds = 30, now = Date.now } = own
  requireString(clientId, 'clientId')
  if (issuer !== undefined && !(typeof issuer === 'string' && URL.canParse(issuer))) {
    throw new TypeError('"issuer" must be the URL that identifies the authorization server')
  }
  if (serverUrl !== undefined && !URL.canParse(String(serverUrl))) {
    throw new TypeError('"serverUrl" must be the URL of the MCP server')
  }
  for (const [name, value] of Object.entries({ scope, maxScope })) {
    if (value !== undefined && typeof value !== 'string') {
      throw new TypeError(`"${name}" must be a string of values separated by spaces`)
    }
  }
  if (!(typeof metadataLifetimeSeconds === 'number' && metadataLifetimeSeconds > 0)) {
    throw new TypeError('"metadataLifetimeSeconds" must be a number above 0')
  }
  requireTimeout(timeoutSeconds)
  return {
    ...{ clientId, clientName, issuer, scope, maxScope, metadataLifetimeSeconds, timeoutSeconds },
    serverUrl: serverUrl === undefined ? undefined : new URL(serverUrl),
    authentication: providerAuthentication(own.authentication, issuer, now, grant !== undefined),
    grant: grant && providerGrant(grant, own.authentication, issuer, now),
    dpop: readDpop(own.dpop, now),
    fetch: own.fetch ?? globalThis.fetch,
    now,
  }
}
