import type { ClosableSigner } from '@countersign/core'
import { peerError } from '@countersign/core/backend'
import type { AwsKmsKeyUri } from './key-uri.ts'
import type { SignerFromUriOptions } from './options.ts'
import { backend } from './refusal.ts'

/** Opens a key of AWS KMS, with the credentials and the endpoint of the AWS SDK. */
export async function openAwsKms(
  { keyId, region, alg, kid }: AwsKmsKeyUri,
  { timeoutSeconds, signal }: SignerFromUriOptions,
): Promise<ClosableSigner> {
  const { awsKmsSigner } = await loadAwsKms()
  return awsKmsSigner({ keyId, region, alg, kid, timeoutSeconds, signal })
}

async function loadAwsKms() {
  try {
    return await import('@countersign/aws-kms')
  } catch (cause) {
    throw peerError('@countersign/aws-kms', cause, backend, ['@aws-sdk/client-kms'])
  }
}
