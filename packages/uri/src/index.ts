export type { ClosableSigner } from '@countersign/core'
export type {
  AzureCredential,
  KeyScheme,
  KeyUriAttributes,
  KeyUriParts,
  KeyUriSuggestion,
  OpenKeyOptions,
  ParsedKeyUri,
  Secret,
} from './key-scheme.ts'
export { formatKeyUri, type KeyUri, type KeyUriOptions, parseKeyUri } from './key-uri.ts'
export type { AwsKmsKeyUri } from './schemes/aws-kms.ts'
export type { AzureKeyVaultKeyUri } from './schemes/azure-key-vault.ts'
export type { FileKeyUri } from './schemes/file.ts'
export type { GcpKmsKeyUri } from './schemes/gcp-kms.ts'
export type { PinSource, Pkcs11KeyUri } from './schemes/pkcs11.ts'
export { type SignerFromUriOptions, signerFromUri } from './signer-from-uri.ts'
