/**
 * The parts of the MCP TypeScript SDKs that are used here, as types that agree with both majors, so that a program
 * compiles against this package without either SDK. They are not exported from the package.
 *
 * The metadata types are type aliases, because the SDKs' types have index signatures, with which an interface does not
 * agree.
 */

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
