import {
  CreateAccessKeyCommand,
  CreateUserCommand,
  IAMClient,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam'
import { DescribeKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type MiniStack, startMiniStack } from '../servers/ministack.js'
import { createKey, input, refusal, rootOf } from './fixtures.ts'

let ministack: MiniStack
let keyId: string

beforeAll(async () => {
  ministack = await startMiniStack({ auth: true })
  keyId = await createKey(rootOf(ministack), 'ECC_NIST_P256')
}, 120_000)

afterAll(() => ministack?.close())

/** A client of a new user with these permissions on the key, and no others. */
async function clientWith(UserName: string, permissions: readonly string[]): Promise<KMSClient> {
  const iam = new IAMClient(ministack.client)
  await iam.send(new CreateUserCommand({ UserName }))
  if (permissions.length > 0) {
    const statement = { Effect: 'Allow', Action: permissions, Resource: keyId }
    await iam.send(
      new PutUserPolicyCommand({
        UserName,
        PolicyName: 'agent',
        PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }),
      }),
    )
  }
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }))
  return new KMSClient({
    ...ministack.client,
    credentials: {
      accessKeyId: AccessKey?.AccessKeyId ?? '',
      secretAccessKey: AccessKey?.SecretAccessKey ?? '',
    },
  })
}

describe('a principal with', () => {
  test('kms:GetPublicKey and kms:Sign on the key, and nothing else, signs', async () => {
    const client = await clientWith('both', ['kms:GetPublicKey', 'kms:Sign'])
    await expect(client.send(new DescribeKeyCommand({ KeyId: keyId }))).rejects.toMatchObject({
      name: expect.stringMatching(/^AccessDenied/),
    })
    const signer = await awsKmsSigner({ keyId, client })
    expect(await signer.sign(input)).toHaveLength(64)
  })

  test.each([
    ['reader', 'kms:GetPublicKey', 'kms:Sign'],
    ['signer', 'kms:Sign', 'kms:GetPublicKey'],
  ])('one of them is refused, with the other: %s', async (user, held, lacked) => {
    const client = await clientWith(user, [held])
    expect(await refusal(awsKmsSigner({ keyId, client }))).toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: `AWS KMS denies access to the key; these credentials need ${lacked} on it, by IAM policy, key policy or grant`,
    })
  })

  test('both on another key is refused', async () => {
    const client = await clientWith('stranger', ['kms:GetPublicKey', 'kms:Sign'])
    const other = await createKey(rootOf(ministack), 'ECC_NIST_P256')
    expect(await refusal(awsKmsSigner({ keyId: other, client }))).toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining('kms:GetPublicKey'),
    })
  })
})

test('unknown credentials are refused', async () => {
  const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'never' }
  const client = new KMSClient({ ...ministack.client, credentials })
  expect(await refusal(awsKmsSigner({ keyId, client }))).toMatchObject({
    code: 'ERR_SIGNER_ACCESS_DENIED',
    message: 'AWS does not know these credentials; check access key and session token',
  })
})
