export type { KmsClient } from './client.ts'
export { type AwsKmsSignerOptions, awsKmsSigner } from './signer.ts'
