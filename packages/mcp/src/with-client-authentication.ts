import type { ClientAuthentication } from '@countersign/oauth'
import { providerAuthentication } from './authentication.ts'
import { type CredentialScope, keyReplacement } from './key-replacement.ts'
import type { AddClientAuthentication, SdkDiscoveryState, SdkTokens } from './sdk-shapes.ts'
import { verifiedDiscovery } from './verified-discovery.ts'

/** The members of an SDK's `OAuthClientProvider` that {@link withClientAuthentication} builds upon. */
export interface InteractiveProvider {
  clientInformation(context?: { readonly issuer: string }): unknown
  redirectToAuthorization(url: URL): unknown
  saveTokens(tokens: SdkTokens, context?: { readonly issuer: string }): unknown
  discoveryState?(): unknown
  saveDiscoveryState?(state: SdkDiscoveryState): unknown
}

/** Options of {@link withClientAuthentication}. */
export interface WithClientAuthenticationOptions {
  /** Pins the authorization server. */
  readonly issuer?: string | undefined
  /**
   * How long a user may take to sign in, where the provider does not implement `discoveryState`; 3600 by default. What
   * was discovered is kept until then, for the exchange of the code.
   */
  readonly signInSeconds?: number | undefined
}

/**
 * Adds client authentication to an existing provider of either MCP SDK, such as an interactive one that signs a
 * user in: the exchange of the authorization code and each refresh then carry a newly made assertion.
 *
 * The server is held to the same rules as by {@link clientCredentialsProvider} before anything is signed.
 *
 * @param provider - the provider; it is left as it is, and everything else still goes to it.
 * @param authentication - how the client proves who it is.
 * @param options - a pin on the issuer.
 * @returns a provider with the same members, `addClientAuthentication` among them.
 * @throws `TypeError` when `authentication` is not one.
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
  { issuer, signInSeconds = 3600 }: WithClientAuthenticationOptions = {},
): Provider {
  const authenticate = providerAuthentication(authentication, issuer, Date.now)
  const discovery = verifiedDiscovery(authentication, issuer)
  const keys = keyReplacement()
  let passesContext = false
  let signingIn: { readonly state: SdkDiscoveryState; readonly until: number } | undefined

  const addClientAuthentication: AddClientAuthentication = async (
    headers,
    params,
    url,
    metadata,
  ) => {
    const as = discovery.require(metadata, url)
    // Asked as the SDK asks: one major has no argument.
    const context = passesContext ? { issuer: as.issuer } : undefined
    const information = (await (context === undefined
      ? provider.clientInformation()
      : provider.clientInformation(context))) as Information | undefined
    const clientId = information?.client_id
    if (typeof clientId !== 'string' || clientId === '') {
      throw new TypeError('the provider has no "client_id" to authenticate')
    }
    const { onReplaceable } = keys
    await authenticate(as, { client_id: clientId }, params, headers, { onReplaceable })
  }

  const added: { readonly [member: PropertyKey]: unknown } = {
    addClientAuthentication,
    clientInformation(...context: Parameters<InteractiveProvider['clientInformation']>) {
      passesContext ||= context.length > 0
      return provider.clientInformation(...context)
    },
    async discoveryState() {
      if (provider.discoveryState === undefined) {
        // Only for the exchange of the code: for a new sign-in the resource is asked again, since it may have moved.
        return signingIn !== undefined && Date.now() < signingIn.until ? signingIn.state : undefined
      }
      const state = (await provider.discoveryState()) as SdkDiscoveryState | undefined
      if (state?.authorizationServerMetadata !== undefined) discovery.verify(state)
      return state
    },
    async saveDiscoveryState(state: SdkDiscoveryState) {
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

  // Over an empty target, since a proxy may not show members of a frozen one other than they are.
  return new Proxy({} as Provider, {
    get(_target, member) {
      if (Object.hasOwn(added, member)) return added[member]
      // Bound to the provider itself, whose private members a proxy cannot reach.
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
