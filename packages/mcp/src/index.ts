export type { ClientCredentialsProviderOptions } from './client-credentials-options.ts'
export {
  type ClientCredentialsProvider,
  clientCredentialsProvider,
} from './client-credentials-provider.ts'
export type {
  AddClientAuthentication,
  SdkClientMetadata,
  SdkDiscoveryState,
  SdkResourceMetadata,
  SdkServerMetadata,
  SdkTokens,
} from './sdk-shapes.ts'
export {
  type InteractiveProvider,
  type WithClientAuthenticationOptions,
  withClientAuthentication,
} from './with-client-authentication.ts'
