import { KMSClient, type KMSClientConfig } from '@aws-sdk/client-kms'
import { type AwsKmsSignerOptions, awsKmsSigner } from '@countersign/aws-kms'
import type { Signer, SignerError } from '@countersign/core'
import type { AwsKms } from '../servers/aws-kms.js'

export const input = Buffer.from('what is signed here')

/** A client of the stand-in, with static credentials and without the machine's settings. */
export function clientOf(kms: AwsKms, config: KMSClientConfig = {}): KMSClient {
  return new KMSClient({ ...kms.client, ...config })
}

/** A signer over a key of the stand-in. */
export function open(
  kms: AwsKms,
  { arn }: { readonly arn: string },
  options: Partial<AwsKmsSignerOptions> = {},
): Promise<Signer> {
  return awsKmsSigner({ keyId: arn, client: clientOf(kms), ...options })
}

/** What a promise rejects with; that it is fulfilled is an error. */
export async function refusal(promise: Promise<unknown>): Promise<SignerError> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as SignerError
  }
  throw new Error(`not refused: ${String(value)}`)
}
