import { KMSClient, type KMSClientConfig } from '@aws-sdk/client-kms'
import { type AwsKmsSignerOptions, awsKmsSigner } from '@countersign/aws-kms'
import type { Signer } from '@countersign/core'
import type { AwsKms } from '../servers/aws-kms.js'

/** A client of the test server, with static credentials and without the machine's settings. */
export function clientOf(kms: AwsKms, config: KMSClientConfig = {}): KMSClient {
  return new KMSClient({ ...kms.client, ...config })
}

/** A signer over a key of the test server. */
export function open(
  kms: AwsKms,
  { arn }: { readonly arn: string },
  options: Partial<AwsKmsSignerOptions> = {},
): Promise<Signer> {
  return awsKmsSigner({ keyId: arn, client: clientOf(kms), ...options })
}
