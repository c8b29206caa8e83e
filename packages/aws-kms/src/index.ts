export { type AwsKmsSignerOptions, awsKmsSigner, type KmsClient } from './signer.ts'
