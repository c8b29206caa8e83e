/**
 * The parts of the MCP TypeScript SDKs that are touched here, in shapes that both majors' types agree with.
 *
 * Written out so that neither SDK has to be installed to compile against this package. The metadata is of type
 * aliases, since the SDKs' types have index signatures, which an interface does not agree with.
 */

/** Authorization server metadata as the SDKs hand it over and take it back. */
export type SdkServerMetadata = {
  issuer: string
  authorization_endpoint: string
  token_endpoint: string
  response_types_supported: string[]
  token_endpoint_auth_methods_supported?: string[] | undefined
  token_endpoint_auth_signing_alg_values_supported?: string[] | undefined
}

/** Protected resource metadata as the SDKs hand it over and take it back. */
export type SdkResourceMetadata = {
  resource: string
  authorization_servers?: string[] | undefined
  scopes_supported?: string[] | undefined
}

/** The SDKs' `OAuthDiscoveryState`. */
export interface SdkDiscoveryState {
  authorizationServerUrl: string
  authorizationServerMetadata?: SdkServerMetadata
  resourceMetadata?: SdkResourceMetadata
  resourceMetadataUrl?: string
}

/** The SDKs' `OAuthTokens`. */
export interface SdkTokens {
  access_token: string
  token_type: string
  expires_in?: number | undefined
  scope?: string | undefined
}

/** The SDKs' `OAuthClientMetadata`. */
export interface SdkClientMetadata {
  redirect_uris: string[]
  client_name?: string | undefined
  grant_types?: string[] | undefined
  token_endpoint_auth_method?: string | undefined
  scope?: string | undefined
}

/** The SDKs' hook for client authentication; they call it without a `this`. */
export type AddClientAuthentication = (
  headers: Headers,
  params: URLSearchParams,
  url: string | URL,
  metadata?: SdkServerMetadata,
) => Promise<void>
