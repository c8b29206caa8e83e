export type {
  GcpKmsCallOptions,
  GcpKmsClient,
  GcpKmsPublicKey,
  GcpKmsSignature,
  GcpKmsVersion,
} from './client.ts'
export { type GcpKmsSignerOptions, gcpKmsSigner } from './signer.ts'
