import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  type KeySpec,
  type KMSClient,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { signJws } from '@countersign/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifiesWithNode } from '../../packages/core/test/verification.ts'
import { type MiniStack, startMiniStack } from '../servers/ministack.js'
import { watchConnections } from '../support/connections.js'
import { importKeyMaterial } from '../support/import-key-material.js'
import { type KeyKind, keyPair } from '../support/key-pairs.js'
import { createKey, input, refusal, rootOf } from './fixtures.ts'

const connections = watchConnections()
let ministack: MiniStack
let client: KMSClient

beforeAll(async () => {
  ministack = await startMiniStack()
  client = rootOf(ministack)
}, 120_000)

afterAll(async () => {
  expect(connections.abroad()).toEqual([])
  connections.stop()
  await ministack?.close()
})

describe('an alias', () => {
  test('that is moved does not change the key of a signer that was made with it', async () => {
    const [first, second] = [
      await createKey(client, 'ECC_NIST_P256'),
      await createKey(client, 'ECC_NIST_P256'),
    ]
    const AliasName = 'alias/agents/billing'
    await client.send(new CreateAliasCommand({ AliasName, TargetKeyId: first }))
    const before = await awsKmsSigner({ keyId: AliasName, client })
    await client.send(new UpdateAliasCommand({ AliasName, TargetKeyId: second }))
    const aliasArn = first.replace(/key\/.*$/, AliasName)
    const after = await awsKmsSigner({ keyId: aliasArn, client })
    expect(before.kid).toBe((await awsKmsSigner({ keyId: first, client })).kid)
    expect(after.kid).toBe((await awsKmsSigner({ keyId: second, client })).kid)
    expect(after.kid).not.toBe(before.kid)
    for (const signer of [before, after]) {
      expect(verifiesWithNode(await signJws(signer, input), signer.publicJwk)).toBe(true)
    }
  })

  test('that does not exist is not found', async () => {
    expect(await refusal(awsKmsSigner({ keyId: 'alias/nobody', client }))).toMatchObject({
      code: 'ERR_SIGNER_KEY_NOT_FOUND',
    })
  })
})

describe('a key is named', () => {
  test('by its ID, and by the ID of a multi-Region key', async () => {
    const arn = await createKey(client, 'ECC_NIST_P256')
    const byId = await awsKmsSigner({ keyId: arn.replace(/^.*\//, ''), client })
    expect(byId.kid).toBe((await awsKmsSigner({ keyId: arn, client })).kid)
    const { KeyMetadata } = await client.send(
      new CreateKeyCommand({
        KeySpec: 'ECC_NIST_P256',
        KeyUsage: 'SIGN_VERIFY',
        MultiRegion: true,
      }),
    )
    const keyId = KeyMetadata?.KeyId ?? ''
    expect(keyId).toMatch(/^mrk-/)
    expect(await awsKmsSigner({ keyId, client })).toMatchObject({ alg: 'ES256' })
  })
})

describe('a key that is', () => {
  test('disabled is refused at load and at a signature, until it is enabled', async () => {
    const KeyId = await createKey(client, 'ECC_NIST_P256')
    const signer = await awsKmsSigner({ keyId: KeyId, client })
    await client.send(new DisableKeyCommand({ KeyId }))
    for (const promise of [signer.sign(input), awsKmsSigner({ keyId: KeyId, client })]) {
      expect(await refusal(promise)).toMatchObject({ code: 'ERR_SIGNER_KEY_DISABLED' })
    }
    await client.send(new EnableKeyCommand({ KeyId }))
    expect(await signer.sign(input)).toHaveLength(64)
  })

  test('pending deletion is refused at load and at a signature, until the deletion is cancelled', async () => {
    const KeyId = await createKey(client, 'RSA_2048')
    const signer = await awsKmsSigner({ keyId: KeyId, client })
    await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
    for (const promise of [signer.sign(input), awsKmsSigner({ keyId: KeyId, client })]) {
      expect(await refusal(promise)).toMatchObject({ code: 'ERR_SIGNER_KEY_DISABLED' })
    }
    await client.send(new CancelKeyDeletionCommand({ KeyId }))
    await client.send(new EnableKeyCommand({ KeyId }))
    expect(await signer.sign(input)).toHaveLength(256)
  })

  test('symmetric, or for encryption, is refused', async () => {
    for (const [KeySpec, KeyUsage] of [
      ['SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT'],
      ['RSA_2048', 'ENCRYPT_DECRYPT'],
      ['HMAC_256', 'GENERATE_VERIFY_MAC'],
    ] as const) {
      const { KeyMetadata } = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage }))
      const keyId = KeyMetadata?.Arn ?? ''
      expect(await refusal(awsKmsSigner({ keyId, client }))).toMatchObject({
        code: 'ERR_SIGNER_KEY_UNSUPPORTED',
        message: expect.stringContaining('SIGN_VERIFY'),
      })
    }
  })

  test('waiting for its key material is refused', async () => {
    const { KeyMetadata } = await client.send(
      new CreateKeyCommand({
        KeySpec: 'ECC_NIST_P256',
        KeyUsage: 'SIGN_VERIFY',
        Origin: 'EXTERNAL',
      }),
    )
    expect(await refusal(awsKmsSigner({ keyId: KeyMetadata?.Arn ?? '', client }))).toMatchObject({
      code: 'ERR_SIGNER_KEY_DISABLED',
      message: expect.stringContaining('waits for its key material'),
    })
  })
})

describe('an imported key', () => {
  test.each<[KeyKind, KeySpec]>([
    ['P-256', 'ECC_NIST_P256'],
    ['P-384', 'ECC_NIST_P384'],
    ['P-521', 'ECC_NIST_P521'],
    ['RSA-2048', 'RSA_2048'],
    ['RSA-3072', 'RSA_3072'],
  ])('of %s makes the signatures of its private key', async (kind, keySpec) => {
    const { privateKey, publicKey } = keyPair(kind)
    const keyId = await importKeyMaterial(client, privateKey, keySpec)
    const signer = await awsKmsSigner({ keyId, client })
    expect(signer.publicJwk).toMatchObject(publicKey.export({ format: 'jwk' }))
    expect(verifiesWithNode(await signJws(signer, input), signer.publicJwk)).toBe(true)
  })
})
