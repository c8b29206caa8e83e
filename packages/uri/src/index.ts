export type { ClosableSigner } from '@countersign/core'
export { formatKeyUri } from './format-key-uri.ts'
export type {
  AwsKmsKeyUri,
  AzureKeyVaultKeyUri,
  FileKeyUri,
  GcpKmsKeyUri,
  KeyUri,
  PinSource,
  Pkcs11KeyUri,
} from './key-uri.ts'
export type { AzureCredential, Secret, SignerFromUriOptions } from './options.ts'
export { parseKeyUri } from './parse-key-uri.ts'
export { signerFromUri } from './signer-from-uri.ts'
