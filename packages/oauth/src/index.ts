export type { AuthorizationServer, ResourceServer } from 'oauth4webapi'
export type {
  ClientAuthentication,
  ClientAuthenticationMethod,
  ClientAuthenticationOptions,
  ReplaceKey,
} from './client-authentication.ts'
export {
  type ClientMetadata,
  type ClientMetadataOptions,
  clientMetadata,
} from './client-metadata.ts'
export { clientSecretBasic, clientSecretPost, type Secret } from './client-secret.ts'
export { type DiscoveryOptions, discoverAuthorizationServer } from './discovery.ts'
export { OAuthError, type OAuthErrorCode, type OAuthErrorOptions } from './error.ts'
export { type ExternalAssertionOptions, externalAssertion } from './external-assertion.ts'
export type { Fetch } from './http.ts'
export { type PrivateKeyJwtOptions, privateKeyJwt } from './private-key-jwt.ts'
export {
  discoverProtectedResource,
  type ResourceDiscoveryOptions,
} from './protected-resource.ts'
export type { TokenResponse } from './token-request.ts'
export {
  type Grant,
  type TokenOptions,
  type TokenSource,
  type TokenSourceOptions,
  tokenSource,
} from './token-source.ts'
export type { TokenMessage } from './tracing.ts'
