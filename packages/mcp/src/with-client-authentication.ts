import {
  type AuthorizationServer,
  type ClientAuthentication,
  type Fetch,
  OAuthError,
  type TokenSourceOptions,
} from '@countersign/oauth'
import {
  acceptsProofs,
  readDpop,
  requireIssuer,
  requireSecureUrl,
  requireTokenType,
  sanitize,
} from '@countersign/oauth/internal'
import { providerAuthentication, requireUsableServer } from './client-authentication.ts'
import { dpopFetch } from './dpop-fetch.ts'
import {
  type AddClientAuthentication,
  type CredentialScope,
  type DiscoveryState,
  keyReplacement,
  requireTokenEndpoint,
  type ServerMetadata,
  sessionAt,
  type Tokens,
} from './sdk-flow.ts'

/** The members of an SDK's `OAuthClientProvider` that {@link withClientAuthentication} uses. */
export interface InteractiveProvider {
  clientInformation(context?: { readonly issuer: string }): unknown
  redirectToAuthorization(url: URL): unknown
  saveTokens(tokens: Tokens, context?: { readonly issuer: string }): unknown
  discoveryState?(): unknown
  saveDiscoveryState?(state: DiscoveryState): unknown
}

/** Options of {@link withClientAuthentication}. */
export interface WithClientAuthenticationOptions {
  /** Pins the authorization server. */
  readonly issuer?: string | undefined
  /**
   * How long a user may take to sign in, if the provider does not implement `discoveryState`; 3600 by default. The
   * discovery is cached until then, for the exchange of the code.
   */
  readonly signInSeconds?: number | undefined
  /**
   * Binds the tokens to a key, as the option `dpop` of `tokenSource` does. SDK v2 makes the requests with proofs by
   * itself. With SDK v1, give the transport the option `fetch: provider.fetch` as well.
   *
   * A refresh token that a public client stores is bound to the key, too: use a signer, or a session that lives as long.
   */
  readonly dpop?: TokenSourceOptions['dpop']
  /** Sends the requests of the provider's `fetch`; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
}

/** What {@link withClientAuthentication} adds to a provider if DPoP is used. */
export interface WithDpop {
  /** For the option `fetch` of a transport of SDK v1: sends bound tokens with a proof. */
  readonly fetch: Fetch
}

/**
 * Adds client authentication to an existing provider of either MCP SDK, such as an interactive one that signs a
 * user in: the exchange of the authorization code and each refresh then carry a new assertion.
 *
 * Before anything is signed, the authorization server is checked by the same rules as in
 * {@link clientCredentialsProvider}.
 *
 * @param provider - the provider. It is not changed, and every other call goes to it.
 * @param authentication - how the client authenticates.
 * @param options - a pinned issuer, and DPoP.
 * @returns a provider with the same members, and `addClientAuthentication`; with DPoP, also `fetch` for SDK v1.
 * @throws `TypeError` when `authentication` is not a client authentication.
 *
 * @example
 * ```ts
 * import type { OAuthClientProvider } from '@modelcontextprotocol/client'
 * import type { Signer } from '@countersign/core'
 * import { withClientAuthentication } from '@countersign/mcp'
 * import { privateKeyJwt } from '@countersign/oauth'
 *
 * declare const signer: Signer
 * declare const interactive: OAuthClientProvider
 *
 * const authProvider = withClientAuthentication(interactive, privateKeyJwt(signer))
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export function withClientAuthentication<Provider extends InteractiveProvider>(
  provider: Provider,
  authentication: ClientAuthentication,
  options: WithClientAuthenticationOptions & {
    readonly dpop: NonNullable<TokenSourceOptions['dpop']>
  },
): Provider & WithDpop
export function withClientAuthentication<Provider extends InteractiveProvider>(
  provider: Provider,
  authentication: ClientAuthentication,
  options?: WithClientAuthenticationOptions,
): Provider
export function withClientAuthentication<Provider extends InteractiveProvider>(
  provider: Provider,
  authentication: ClientAuthentication,
  options: WithClientAuthenticationOptions = {},
): Provider {
  const { issuer, signInSeconds = 3600, fetch = globalThis.fetch } = options
  const dpop = readDpop(options.dpop, Date.now)
  const authenticate = providerAuthentication(authentication, issuer, Date.now)
  const discovery = verifiedDiscovery(authentication, issuer)
  const keys = keyReplacement()
  let passesContext = false
  let lastServer: ServerMetadata | undefined
  let signingIn: { readonly state: DiscoveryState; readonly until: number } | undefined

  const sessionInUse = () =>
    dpop && sessionAt(asServer(discovery.latest()?.authorizationServerMetadata), dpop)

  const addClientAuthentication: AddClientAuthentication = async (
    headers,
    params,
    url,
    metadata,
  ) => {
    const as = discovery.require(metadata, url)
    // With or without the argument, as the SDK in use calls it: one major has none.
    const context = passesContext ? { issuer: as.issuer } : undefined
    const information = (await (context === undefined
      ? provider.clientInformation()
      : provider.clientInformation(context))) as Information | undefined
    const clientId = information?.client_id
    if (typeof clientId !== 'string' || clientId === '') {
      throw new TypeError('the provider has no "client_id" to authenticate')
    }
    if (dpop !== undefined) acceptsProofs(as, dpop)
    const jkt = dpop?.jktInAssertion === true ? await dpop.session.jkt() : undefined
    const { onReplaceable } = keys
    await authenticate(as, { client_id: clientId }, params, headers, { onReplaceable, jkt })
    lastServer = metadata
  }

  const added: { readonly [member: PropertyKey]: unknown } = {
    addClientAuthentication,
    ...(dpop && {
      dpop: sessionInUse,
      fetch: dpopFetch({
        ...{ fetch, dpop, sessionInUse },
        authenticate: (headers, params, url) =>
          addClientAuthentication(headers, params, url, lastServer),
        async isBound(token) {
          const { tokens } = provider as { tokens?(): unknown }
          const stored = (await tokens?.call(provider)) as Partial<Tokens> | undefined
          return stored?.access_token === token && stored.token_type?.toLowerCase() === 'dpop'
        },
      }),
    }),
    clientInformation(...context: Parameters<InteractiveProvider['clientInformation']>) {
      passesContext ||= context.length > 0
      return provider.clientInformation(...context)
    },
    async discoveryState() {
      if (provider.discoveryState === undefined) {
        // Only for the exchange of the code. A new sign-in discovers again, because the resource may have moved.
        return signingIn !== undefined && Date.now() < signingIn.until ? signingIn.state : undefined
      }
      const state = (await provider.discoveryState()) as DiscoveryState | undefined
      if (state?.authorizationServerMetadata !== undefined) discovery.verify(state)
      return state
    },
    async saveDiscoveryState(state: DiscoveryState) {
      discovery.verify(state)
      await provider.saveDiscoveryState?.(state)
    },
    redirectToAuthorization(url: URL) {
      const state = discovery.latest()
      signingIn = state && { state, until: Date.now() + signInSeconds * 1000 }
      return provider.redirectToAuthorization(url)
    },
    saveTokens(...saved: Parameters<InteractiveProvider['saveTokens']>) {
      signingIn = undefined
      if (dpop !== undefined) {
        const [{ token_type: type }] = saved
        requireTokenType(lastServer?.issuer ?? 'The server', type, dpop)
      }
      return provider.saveTokens(...saved)
    },
    async invalidateCredentials(scope: CredentialScope) {
      if (scope === 'all' || scope === 'discovery') signingIn = undefined
      const { invalidateCredentials } = provider as {
        invalidateCredentials?(scope: CredentialScope): unknown
      }
      await invalidateCredentials?.call(provider, scope)
      await keys.afterInvalidation(scope)
    },
  }

  // The target is empty, because a proxy must show the members of a frozen target unchanged.
  return new Proxy({} as Provider, {
    get(_target, member) {
      if (Object.hasOwn(added, member)) return added[member]
      // Bound to the provider itself, because a proxy cannot reach its private members.
      const value: unknown = Reflect.get(provider, member)
      return typeof value === 'function' ? value.bind(provider) : value
    },
    set: (_target, member, value) => Reflect.set(provider, member, value),
    has: (_target, member) => Object.hasOwn(added, member) || Reflect.has(provider, member),
    getPrototypeOf: () => Reflect.getPrototypeOf(provider),
  })
}

interface Information {
  readonly client_id?: unknown
}

/** Checks what an SDK discovered. */
interface VerifiedDiscovery {
  /** Refuses a discovery that must not lead to an assertion. */
  verify(state: DiscoveryState): void
  /** The last discovery that passed. */
  latest(): DiscoveryState | undefined
  /** Refuses metadata that was not verified, and a token endpoint that is not in it. */
  require(metadata: ServerMetadata | undefined, url: string | URL): AuthorizationServer
}

function verifiedDiscovery(
  authentication: ClientAuthentication,
  issuer: string | undefined,
): VerifiedDiscovery {
  const verified = new WeakSet<AuthorizationServer>()
  let latest: DiscoveryState | undefined

  return {
    verify(state) {
      const { authorizationServerUrl: url, resourceMetadata } = state
      const metadata = asServer(state.authorizationServerMetadata)
      if (metadata === undefined) {
        throw new OAuthError(
          'ERR_OAUTH_DISCOVERY',
          `The authorization server ${sanitize(url)} publishes no metadata; nothing was signed`,
        )
      }
      // SDK v1 does not compare them, so a server could get an assertion for another one.
      requireIssuer(metadata, url)
      if (issuer !== undefined) requireIssuer(metadata, issuer)
      requireSecureUrl(metadata.issuer, 'issuer', {
        namedBy: issuer ?? resourceMetadata?.resource,
      })
      requireUsableServer(metadata, authentication)
      verified.add(metadata)
      latest = state
    },
    latest: () => latest,
    require(metadata, url) {
      const as = asServer(metadata)
      if (as === undefined || !verified.has(as)) {
        throw new OAuthError(
          'ERR_OAUTH_ISSUER_MISMATCH',
          'The metadata of the authorization server was not verified against its issuer; nothing was signed',
        )
      }
      requireTokenEndpoint(as, url)
      return as
    },
  }
}

/** The two libraries' types differ only in how they mark an optional member. */
function asServer(metadata: ServerMetadata | undefined): AuthorizationServer | undefined {
  return metadata as AuthorizationServer | undefined
}
