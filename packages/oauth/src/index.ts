export type { AuthorizationServer, ResourceServer } from 'oauth4webapi'
export {
  type AttestationOptions,
  type AttestationRequest,
  type AttestedInstance,
  type AttestedInstanceOptions,
  type Attester,
  experimentalAttestedInstance,
  experimentalSignAttestation,
  type InstanceJwk,
} from './attested-instance.ts'
export {
  type ClientAuthentication,
  type ClientAuthenticationMethod,
  type ClientAuthenticationOptions,
  clientSecretBasic,
  clientSecretPost,
  type ReplaceKey,
  type Secret,
} from './client-authentication.ts'
export {
  type ClientMetadata,
  type ClientMetadataOptions,
  clientMetadata,
} from './client-metadata.ts'
export {
  type DiscoveryOptions,
  discoverAuthorizationServer,
  discoverProtectedResource,
  type ResourceDiscoveryOptions,
} from './discovery.ts'
export {
  type DpopOptions,
  type DpopProofRequest,
  type DpopSession,
  type DpopSessionOptions,
  dpopSession,
} from './dpop.ts'
export { OAuthError, type OAuthErrorCode, type OAuthErrorOptions } from './errors.ts'
export {
  jwtBearer,
  publicClient,
  type TokenExchangeOptions,
  type TokenProvider,
  tokenExchange,
} from './grants.ts'
export type { Fetch } from './http.ts'
export {
  type IdentityAssertionOptions,
  type IdentityProvider,
  identityAssertion,
} from './identity-assertion.ts'
export {
  type ExternalAssertionOptions,
  externalAssertion,
  type PrivateKeyJwtOptions,
  privateKeyJwt,
} from './private-key-jwt.ts'
export type { TokenMessage } from './token-cache.ts'
export type { TokenResponse } from './token-request.ts'
export {
  type Grant,
  type GrantRequest,
  type TokenOptions,
  type TokenSource,
  type TokenSourceOptions,
  tokenSource,
} from './token-source.ts'
export {
  tokenFile,
  type WorkloadIdentityOptions,
  workloadIdentity,
} from './workload-identity.ts'
