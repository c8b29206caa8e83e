import type { ClosableSigner } from '@countersign/core'
import { importPeer } from '@countersign/core/backend'
import type { AwsKmsKeyUri } from './key-uri.ts'
import type { SignerFromUriOptions } from './options.ts'
import { backend } from './refusal.ts'

/** Opens a key of AWS KMS, with the credentials and the endpoint of the AWS SDK. */
export async function openAwsKms(
  { keyId, region, alg, kid }: AwsKmsKeyUri,
  { timeoutSeconds, signal }: SignerFromUriOptions,
): Promise<ClosableSigner> {
  const { awsKmsSigner } = await importPeer(
    '@countersign/aws-kms',
    () => import('@countersign/aws-kms'),
    backend,
    ['@aws-sdk/client-kms'],
  )
  return awsKmsSigner({ keyId, region, alg, kid, timeoutSeconds, signal })
}
