import type { ClientAuthentication } from '@countersign/oauth'
import { type CredentialScope, keyReplacement } from './key-replacement.ts'
import { requireAuthentication } from './require-authentication.ts'
import type { AddClientAuthentication, SdkDiscoveryState } from './sdk-shapes.ts'
import { verifiedDiscovery } from './verified-discovery.ts'

/** The members of an SDK's `OAuthClientProvider` that {@link withClientAuthentication} builds upon. */
export interface InteractiveProvider {
  clientInformation(context?: { readonly issuer: string }): unknown
  discoveryState?(): unknown
  saveDiscoveryState?(state: SdkDiscoveryState): unknown
}

/** Options of {@link withClientAuthentication}. */
export interface WithClientAuthenticationOptions {
  /** Pins the authorization server. */
  readonly issuer?: string | undefined
  /** How long what was discovered is kept, where the provider does not keep it itself; 3600 by default. */
  readonly metadataLifetimeSeconds?: number | undefined
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
  { issuer, metadataLifetimeSeconds = 3600 }: WithClientAuthenticationOptions = {},
): Provider {
  requireAuthentication(authentication)
  const discovery = verifiedDiscovery({
    authentication,
    issuer,
    lifetimeSeconds: metadataLifetimeSeconds,
    now: Date.now,
  })

  const keys = keyReplacement()
  const addClientAuthentication: AddClientAuthentication = async (
    headers,
    params,
    url,
    metadata,
  ) => {
    const as = discovery.require(metadata, url)
    const context = { issuer: as.issuer }
    const information = (await provider.clientInformation(context)) as Information | undefined
    const clientId = information?.client_id
    if (typeof clientId !== 'string' || clientId === '') {
      throw new TypeError('the provider has no "client_id" to authenticate')
    }
    const { onReplaceable } = keys
    await authentication(as, { client_id: clientId }, params, headers, { onReplaceable })
  }

  const added: { readonly [member: PropertyKey]: unknown } = {
    addClientAuthentication,
    async discoveryState() {
      if (provider.discoveryState === undefined) return discovery.state()
      const state = (await provider.discoveryState()) as SdkDiscoveryState | undefined
      if (state?.authorizationServerMetadata !== undefined) discovery.verify(state)
      return state
    },
    async saveDiscoveryState(state: SdkDiscoveryState) {
      discovery.verify(state)
      await provider.saveDiscoveryState?.(state)
    },
    async invalidateCredentials(scope: CredentialScope) {
      if (scope === 'all' || scope === 'discovery') discovery.forget()
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
