// @ts-check
import { KMSClient } from '@aws-sdk/client-kms'
import { startAwsKms } from '@countersign/test/servers/aws-kms'

/**
 * The KMS that the agent's key is in: AWS's, when the environment names a key there, else a stand-in on loopback that
 * speaks its protocol and has a new key.
 *
 * @returns {Promise<{ name: string, keyId: string, client: KMSClient, close: () => Promise<void> }>}
 */
export async function openKms() {
  const { COUNTERSIGN_AWS_KMS_KEY: keyId } = process.env
  if (keyId) {
    // Credentials and retries are the SDK's own; so is the region, unless the name of the key has one.
    const region = /^arn:[^:]+:kms:([^:]+):/.exec(keyId)?.[1]
    const client = new KMSClient(region === undefined ? {} : { region })
    return { name: 'AWS KMS', keyId, client, async close() {} }
  }
  const kms = await startAwsKms()
  const alias = 'alias/billing-agent'
  kms.setAlias(alias, kms.createKey('P-256'))
  const client = new KMSClient(kms.client)
  return { name: 'a stand-in for AWS KMS', keyId: alias, client, close: kms.close }
}
