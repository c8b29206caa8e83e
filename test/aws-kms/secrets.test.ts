import diagnostics from 'node:diagnostics_channel'
import { awsKmsSigner } from '@countersign/aws-kms'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { input, textOf } from '../clouds/fixtures.ts'
import { type AwsKms, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { clientOf, open } from './fixtures.ts'

const credentials = {
  accessKeyId: 'AKIACANARY',
  secretAccessKey: 'canary-of-a-secret-access-key',
  sessionToken: 'canary-of-a-session-token',
}

let kms: AwsKms
let key: KmsKey

beforeAll(async () => {
  kms = await startAwsKms()
  key = kms.createKey('P-256')
})

afterEach(() => kms.forget())

afterAll(() => kms.close())

function expectNothingSecret(value: unknown): void {
  const text = textOf(value)
  expect(text).not.toContain('canary')
  expect(text).not.toContain('AWS4-HMAC-SHA256')
  expect(text).not.toContain('Signature=')
}

test('the check finds a secret that a vendor error hides', async () => {
  kms.fail('expired token')
  const { GetPublicKeyCommand } = await import('@aws-sdk/client-kms')
  const client = clientOf(kms, { credentials })
  const error = await client.send(new GetPublicKeyCommand({ KeyId: key.id })).catch((e) => e)
  expect(textOf(error)).toContain('canary-of-a-session-token')
})

// test/faults checks the errors of all faults.
test('no credential is in a signer, or in an error of state or permission', async () => {
  const client = clientOf(kms, { credentials })
  const signer = await open(kms, key, { client })
  expectNothingSecret({ ...signer })
  for (const change of [
    () => kms.disableKey(key),
    () => kms.scheduleKeyDeletion(key),
    () => kms.deny('Sign'),
  ]) {
    change()
    expectNothingSecret(await signer.sign(input).catch((error) => error))
    kms.enableKey(key)
    kms.forget()
  }
  expectNothingSecret(await awsKmsSigner({ keyId: 'alias/nobody', client }).catch((e) => e))
})

test('no credential is in a diagnostics message', async () => {
  const messages: unknown[] = []
  const subscriber = (message: unknown) => void messages.push(message)
  diagnostics.subscribe('countersign:sign', subscriber)
  try {
    const signer = await open(kms, key, { client: clientOf(kms, { credentials }) })
    await signer.sign(input)
    kms.fail('expired token')
    await signer.sign(input).catch(() => {})
  } finally {
    diagnostics.unsubscribe('countersign:sign', subscriber)
  }
  expect(messages).toHaveLength(3)
  expectNothingSecret(messages)
})
