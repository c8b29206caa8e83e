export type { AzureKeyClient, FetchedKey, Signing, TokenCredential } from './client.ts'
export { type AzureKeyVaultSignerOptions, azureKeyVaultSigner } from './signer.ts'
