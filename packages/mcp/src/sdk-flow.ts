import {
  type AuthorizationServer,
  type DpopSession,
  OAuthError,
  type ReplaceKey,
} from '@countersign/oauth'
import {
  acceptsProofs,
  Deadline,
  type Dpop,
  limitScope,
  requireSecureUrl,
  sanitize,
  uniteScopes,
} from '@countersign/oauth/internal'
import type { GrantParameters } from './client-authentication.ts'
import type { ResourceTokens, ResourceTokensSettings, TokenTarget } from './resource-tokens.ts'

// The types agree with both majors of the MCP TypeScript SDK, so that a program compiles against this package without
// either SDK. The metadata types are type aliases, because the SDKs' types have index signatures, with which an
// interface does not agree.

/** Authorization server metadata, RFC 8414, as the SDKs pass it to a provider and take it back. */
export type ServerMetadata = {
  issuer: string
  authorization_endpoint: string
  token_endpoint: string
  response_types_supported: string[]
  token_endpoint_auth_methods_supported?: string[] | undefined
  token_endpoint_auth_signing_alg_values_supported?: string[] | undefined
}

/** Protected resource metadata, RFC 9728. */
export type ResourceMetadata = {
  resource: string
  authorization_servers?: string[] | undefined
  scopes_supported?: string[] | undefined
}

/** The SDKs' `OAuthDiscoveryState`. */
export interface DiscoveryState {
  authorizationServerUrl: string
  authorizationServerMetadata?: ServerMetadata
  resourceMetadata?: ResourceMetadata
  resourceMetadataUrl?: string
}

/** A token response, RFC 6749 §5.1. */
export interface Tokens {
  access_token: string
  token_type: string
  expires_in?: number | undefined
  scope?: string | undefined
}

/** Client metadata, RFC 7591 §2. */
export interface ClientMetadata {
  redirect_uris: string[]
  client_name?: string | undefined
  grant_types?: string[] | undefined
  token_endpoint_auth_method?: string | undefined
  scope?: string | undefined
}

/** The SDKs' hook for client authentication. They call it without a `this`. */
export type AddClientAuthentication = (
  headers: Headers,
  params: URLSearchParams,
  url: string | URL,
  metadata?: ServerMetadata,
) => Promise<void>

/** What an SDK asks its provider to forget. */
export type CredentialScope = 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'

/** The members of an `OAuthClientProvider` that an SDK calls in its own flow for client credentials. */
export interface ClientCredentialsFlow {
  discoveryState(): Promise<DiscoveryState>
  prepareTokenRequest(scope?: string): URLSearchParams
  readonly addClientAuthentication: AddClientAuthentication
  saveTokens(tokens: Tokens): void
  invalidateCredentials(scope: CredentialScope): Promise<void>
}

/**
 * The session whose proofs are sent to an authorization server: none where DPoP is only preferred, and the server lists
 * other algorithms.
 */
export function sessionAt(
  as: AuthorizationServer | undefined,
  dpop: Dpop,
): DpopSession | undefined {
  const isUsed = dpop.required || as === undefined || acceptsProofs(as, dpop)
  return isUsed ? dpop.session : undefined
}

interface FlowSettings extends ResourceTokensSettings {
  readonly serverUrl: URL | undefined
}

/**
 * The members that an SDK calls in its own authorization flow, after the MCP server has refused a token that the SDK
 * attached. The SDK sends the token request itself; it gets the authorization server from here, and the token is used by
 * the provider's source.
 */
export function clientCredentialsFlow(
  settings: FlowSettings,
  tokens: ResourceTokens,
): ClientCredentialsFlow {
  const { clientId, authentication, grant, dpop, serverUrl, maxScope } = settings
  const keys = keyReplacement()
  const targets = new WeakMap<object, TokenTarget>()
  let discovering: Promise<TokenTarget> | undefined
  let discovered: AuthorizationServer | undefined
  // The SDKs do not pass it from one call to the next. Flows that run at once may overwrite each other's target, so it
  // decides neither which server gets an assertion nor what is requested.
  let requested: TokenTarget | undefined

  return {
    // Discovers again for each flow, because the resource may have moved.
    async discoveryState() {
      if (serverUrl === undefined) {
        throw new TypeError(
          'the provider is used as an OAuthClientProvider, but has no option "serverUrl"; set it to the URL of the MCP server, or use `fetch: provider.fetch` in place of `authProvider`',
        )
      }
      discovering ??= tokens.discover(serverUrl).finally(() => {
        discovering = undefined
      })
      const target = await discovering
      const { as, resource } = target
      targets.set(as, target)
      discovered = as
      return {
        authorizationServerUrl: as.issuer,
        authorizationServerMetadata: as as ServerMetadata,
        resourceMetadata: { resource, authorization_servers: [as.issuer] },
      }
    },
    // SDK v2 asks for it. It is not part of the type, because the type of the SDK has private members.
    ...(dpop && { dpop: () => sessionAt(discovered, dpop) }),
    prepareTokenRequest(challenged?: string) {
      const wanted = limitScope(challenged, maxScope)
      return new URLSearchParams({
        grant_type: 'client_credentials',
        ...(wanted === undefined ? {} : { scope: wanted }),
      })
    },
    async addClientAuthentication(headers, params, url, metadata) {
      const target = metadata && targets.get(metadata)
      if (target === undefined) {
        throw new OAuthError(
          'ERR_OAUTH_ISSUER_MISMATCH',
          'The metadata of the authorization server is not the one that the provider discovered; nothing was signed',
        )
      }
      const { as, resource } = target
      requireTokenEndpoint(as, url)
      const united = uniteScopes(target.scope, params.get('scope') ?? undefined)
      const scope = limitScope(united, undefined) ?? target.scope
      if (grant !== undefined) await setGrant(params, grant, settings, { as, resource, scope })
      params.set('resource', resource)
      if (scope !== undefined) params.set('scope', scope)
      if (dpop !== undefined) acceptsProofs(as, dpop)
      const jkt = dpop?.jktInAssertion === true ? await dpop.session.jkt() : undefined
      const { onReplaceable } = keys
      const options = { onReplaceable, jkt, session: dpop?.session }
      await authentication(as, { client_id: clientId }, params, headers, options)
      requested = { as, resource, scope }
    },
    saveTokens(granted: Tokens) {
      if (requested !== undefined) tokens.use(requested, { ...granted })
    },
    async invalidateCredentials(what: CredentialScope) {
      const used = tokens.current()
      if (what === 'all' || what === 'discovery') tokens.forget()
      else if (what === 'tokens' && used !== undefined) tokens.use(used)
      await keys.afterInvalidation(what)
    },
  }
}

/** Replaces the client credentials grant in the parameters of a token request. */
async function setGrant(
  params: URLSearchParams,
  grant: GrantParameters,
  { clientId, fetch, now, timeoutSeconds }: FlowSettings,
  { as, resource, scope }: TokenTarget,
): Promise<void> {
  const deadline = new Deadline(timeoutSeconds, undefined, () => {
    const message = `The grant for ${sanitize(as.issuer)} was not obtained within ${timeoutSeconds} s`
    return new OAuthError('ERR_OAUTH_TIMEOUT', message)
  })
  const { signal } = deadline
  const request = { clientId, scope, resource, fetch, signal, now }
  const granted = await deadline.settle(grant(as, request))
  for (const [name, value] of Object.entries(granted)) params.set(name, value)
}

/**
 * Replaces the key of a refused assertion in an SDK's own flow. The SDKs report such a refusal only by asking the
 * provider to forget the client, before they repeat the flow.
 */
export interface KeyReplacement {
  /** Passed to the client authentication. */
  readonly onReplaceable: (replace: ReplaceKey) => void
  /** Awaited before the SDK repeats its flow. */
  afterInvalidation(scope: CredentialScope): Promise<void>
}

/** Makes a {@link KeyReplacement}. */
export function keyReplacement(): KeyReplacement {
  let replace: ReplaceKey | undefined
  return {
    onReplaceable(offered) {
      replace = offered
    },
    async afterInvalidation(scope) {
      if (scope !== 'all' && scope !== 'client') return
      const last = replace
      replace = undefined
      // Without another key, the second refusal is the error that the caller gets.
      await last?.().catch(() => {})
    },
  }
}

/** Refuses a token endpoint that is not the one in the metadata of the authorization server. */
export function requireTokenEndpoint(as: AuthorizationServer, url: string | URL): void {
  const published = requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: as.issuer })
  if (new URL(url).href === published.href) return
  throw new OAuthError(
    'ERR_OAUTH_ISSUER_MISMATCH',
    `The token endpoint ${sanitize(new URL(url).origin)} is not the one that ${sanitize(as.issuer)} publishes; nothing was signed`,
  )
}
