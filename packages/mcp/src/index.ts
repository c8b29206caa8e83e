export {
  type ClientCredentialsProvider,
  type ClientCredentialsProviderOptions,
  clientCredentialsProvider,
} from './client-credentials-provider.ts'
export {
  type EnterpriseManagedProviderOptions,
  enterpriseManagedProvider,
} from './enterprise-managed-provider.ts'
export {
  type InteractiveProvider,
  type WithClientAuthenticationOptions,
  type WithDpop,
  withClientAuthentication,
} from './with-client-authentication.ts'
export {
  type WorkloadIdentityProviderOptions,
  workloadIdentityProvider,
} from './workload-identity-provider.ts'
