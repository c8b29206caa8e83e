import { KMS, type KMSClient } from '@aws-sdk/client-kms'
import { type AwsKmsSignerOptions, awsKmsSigner } from '@countersign/aws-kms'
import type { SignerErrorCode } from '@countersign/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { input, rejection } from '../clouds/fixtures.ts'
import { type AwsKms, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { watchConnections } from '../support/connections.js'
import type { KeyKind } from '../support/key-pairs.js'
import { clientOf } from './fixtures.ts'

const connections = watchConnections()
const environment = { ...process.env }
let kms: AwsKms
let key: KmsKey

beforeAll(async () => {
  kms = await startAwsKms()
  key = kms.createKey('P-256')
  Object.assign(process.env, kms.env)
})

afterEach(() => {
  expect(connections.abroad()).toEqual([])
  kms.forget()
  for (const name of Object.keys(kms.env)) delete process.env[name]
  Object.assign(process.env, environment, kms.env)
})

afterAll(async () => {
  connections.stop()
  for (const name of Object.keys(kms.env)) delete process.env[name]
  Object.assign(process.env, environment)
  await kms.close()
})

const load = (options: Partial<AwsKmsSignerOptions>) => awsKmsSigner({ keyId: key.arn, ...options })

describe('a key is loaded', () => {
  test.each<[string, () => string]>([
    ['key ID', () => key.id],
    ['key ARN', () => key.arn],
    ['alias name', () => kms.setAlias('alias/agents/billing', key).replace(/^.*:/, '')],
    ['alias ARN', () => kms.setAlias('alias/agents/billing', key)],
  ])('by its %s, and signs by its ARN', async (_, name) => {
    const signer = await load({ keyId: name() })
    await signer.sign(input)
    expect(kms.requests.map(({ input }) => input['KeyId'])).toEqual([name(), key.arn, key.arn])
  })

  test('that is a multi-Region key by its ID and its ARN', async () => {
    const key = kms.createKey('P-256', { multiRegion: true })
    expect(key.id).toMatch(/^mrk-/)
    const [byId, byArn] = [await load({ keyId: key.id }), await load({ keyId: key.arn })]
    expect(byId.kid).toBe(byArn.kid)
  })

  test('with the key ID that the caller chooses', async () => {
    const signer = await load({ kid: '2026-11' })
    expect(signer).toMatchObject({ kid: '2026-11', publicJwk: { kid: '2026-11' } })
  })

  test('by a client of the aggregated kind, and by anything that sends commands', async () => {
    const inner = clientOf(kms)
    const sent: unknown[] = []
    const client = {
      send(command: Parameters<KMSClient['send']>[0], options?: { abortSignal?: AbortSignal }) {
        sent.push(command.constructor.name)
        return inner.send(command, options)
      },
    }
    await load({ client })
    expect(sent).toEqual(['GetPublicKeyCommand', 'SignCommand'])
    expect((await load({ client: new KMS(kms.client) })).alg).toBe('ES256')
  })

  test('for PKCS#1 by default, and for PSS when asked', async () => {
    const { arn: keyId } = kms.createKey('RSA-2048')
    expect(await load({ keyId })).toMatchObject({ alg: 'RS256' })
    expect(await load({ keyId, alg: 'PS512' })).toMatchObject({ alg: 'PS512' })
  })
})

describe('the region', () => {
  test('is that of the ARN, not that of the environment', async () => {
    process.env['AWS_REGION'] = 'us-east-1'
    await load({ keyId: key.arn })
    await load({ keyId: kms.setAlias('alias/there', key) })
    expect(new Set(kms.requests.map(({ region }) => region))).toEqual(new Set(['eu-west-1']))
  })

  test('is the one given for names without one', async () => {
    process.env['AWS_REGION'] = 'us-east-1'
    await load({ keyId: key.id, region: 'eu-west-1' })
    expect(kms.requests.map(({ region }) => region)).toEqual(['eu-west-1', 'eu-west-1'])
  })

  test('may be given although the ARN has it', async () => {
    expect(await load({ region: 'eu-west-1' })).toMatchObject({ alg: 'ES256' })
  })

  test("is else found by the SDK's own means", async () => {
    expect(await load({ keyId: key.id })).toMatchObject({ alg: 'ES256' })
  })

  test('is required', async () => {
    delete process.env['AWS_REGION']
    expect(await rejection(load({ keyId: key.id }))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: 'The AWS region is not known; give "region", an ARN as "keyId", or set AWS_REGION',
    })
  })

  test('that contradicts the ARN is refused before anything is asked', async () => {
    expect(await rejection(load({ region: 'us-east-1' }))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message:
        'The "region" is us-east-1, but the ARN in "keyId" is in eu-west-1; leave "region" out, or name a key in that region',
    })
    expect(kms.requests).toEqual([])
  })

  test.each(['', 'EU West', 'x.evil.example/', 'eu-west-1\r\n'])(
    'cannot be %j, which would become part of a host name',
    async (region) => {
      const error = await rejection(load({ keyId: key.id, region }))
      expect(error).toMatchObject({
        code: 'ERR_SIGNER_CONFIG',
        message: expect.stringContaining('not a name of an AWS region'),
      })
      expect(kms.requests).toEqual([])
    },
  )

  test('of a client is where an ARN of elsewhere is not found', async () => {
    const elsewhere = clientOf(kms)
    const keyId = key.arn.replace('eu-west-1', 'us-east-1')
    expect(await rejection(load({ keyId, client: elsewhere }))).toMatchObject({
      code: 'ERR_SIGNER_KEY_NOT_FOUND',
    })
  })
})

describe('a name is refused', () => {
  test.each([
    '',
    'my key',
    'alias/',
    'alias/a b',
    'key/1234',
    'arn:aws:s3:::bucket',
    'arn:aws:kms:eu-west-1:111122223333:key/',
    'arn:aws:kms::111122223333:key/1234',
    'arn:aws:kms:eu-west-1:1111:key/1234',
    'arn:aws:kms:eu-west-1:111122223333:key/1234/5678',
    'arn:aws:kms:eu-west-1:111122223333:alias/a\n',
  ])('when it is %j, which no key can have', async (keyId) => {
    expect(await rejection(load({ keyId }))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message:
        'The "keyId" is not a name of a KMS key; use a key ID, a key ARN, alias/NAME or an alias ARN',
    })
    expect(kms.requests).toEqual([])
  })

  test.each<[string, () => string]>([
    ['a key ID that was never given', () => '1234abcd-12ab-34cd-56ef-1234567890ab'],
    ['an alias without its prefix', () => 'billing-agent'],
    ['an alias that was never made', () => 'alias/nobody'],
    ['the ARN of another account', () => key.arn.replace('111122223333', '444455556666')],
    [
      'a key that was deleted',
      () => {
        const gone = kms.createKey('P-256')
        kms.deleteKey(gone)
        return gone.arn
      },
    ],
  ])('when it is %s', async (_, name) => {
    expect(await rejection(load({ keyId: name() }))).toMatchObject({
      code: 'ERR_SIGNER_KEY_NOT_FOUND',
      retryable: false,
      message:
        'AWS KMS has no key of this name in this account and region; check "keyId" (an alias is written alias/NAME) and region',
    })
  })
})

describe('a key is refused', () => {
  const asKind = 'makes no JWS signature; create one for SIGN_VERIFY of'
  test.each<[string, KeyKind, Parameters<AwsKms['createKey']>[1], string]>([
    ['that encrypts', 'RSA-2048', { keyUsage: 'ENCRYPT_DECRYPT' }, 'RSA_2048 for ENCRYPT_DECRYPT'],
    ['that agrees on keys', 'P-256', { keyUsage: 'KEY_AGREEMENT' }, 'ECC_NIST_P256 for KEY_AGR'],
    [
      'that agrees on keys, and is said to sign',
      'P-256',
      { keyUsage: 'KEY_AGREEMENT', signingAlgorithms: ['ECDSA_SHA_256'] },
      'ECC_NIST_P256 for KEY_AGREEMENT',
    ],
    [
      'of SM2',
      'P-256',
      { keySpec: 'SM2', signingAlgorithms: ['SM2DSA'] },
      'A KMS key of SM2 for SIGN_VERIFY',
    ],
    ['without algorithms', 'P-256', { signingAlgorithms: [] }, 'ECC_NIST_P256 for SIGN_VERIFY'],
    [
      'of Ed25519 that hashes first',
      'Ed25519',
      { signingAlgorithms: ['ED25519_PH_SHA_512'] },
      'ECC_NIST_EDWARDS25519 for SIGN_VERIFY',
    ],
    ['with an odd spec', 'P-256', { keySpec: '<script>' }, 'A KMS key of unknown for SIGN_VERIFY'],
  ])('%s', async (_, kind, options, says) => {
    const { arn: keyId } = kms.createKey(kind, options)
    const error = await rejection(load({ keyId }))
    expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    expect(error.message).toContain(says)
    expect(error.message).toContain(asKind)
    expect(kms.requests).toHaveLength(1)
  })

  test('that is symmetric', async () => {
    const { arn: keyId } = kms.createKey('P-256', { keySpec: 'SYMMETRIC_DEFAULT' })
    expect(await rejection(load({ keyId }))).toMatchObject({
      code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      message: expect.stringContaining('asymmetric key with the key usage SIGN_VERIFY'),
    })
  })

  test('whose spec is not that of the public key', async () => {
    const { arn: keyId } = kms.createKey('P-256', {
      keySpec: 'ECC_NIST_P384',
      signingAlgorithms: ['ECDSA_SHA_384'],
    })
    expect(await rejection(load({ keyId }))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringContaining('ES384 needs a key of P-384, but this key is of P-256'),
    })
  })

  test.each<[KeyKind, AwsKmsSignerOptions['alg'], string]>([
    ['P-256', 'ES384', 'use ES256'],
    ['secp256k1', 'ES256', 'use ES256K'],
    ['RSA-2048', 'ES256', 'use one of RS256, RS384, RS512, PS256, PS384, PS512'],
    ['Ed25519', 'ES256', 'use one of EdDSA, Ed25519'],
    ['P-256', 'none' as 'ES256', 'use one of ES256'],
    ['P-256', 'HS256' as 'ES256', 'use one of ES256'],
  ])('of %s as %s, with what it can be used as', async (kind, alg, says) => {
    const { arn: keyId } = kms.createKey(kind)
    expect(await rejection(load({ keyId, alg }))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringContaining(says),
    })
  })

  test.each<[string, (key: KmsKey) => void, string]>([
    ['disabled', (key) => kms.disableKey(key), 'The KMS key is disabled; enable it'],
    ['pending deletion', (key) => kms.scheduleKeyDeletion(key), 'pending deletion'],
    [
      'without its material',
      (key) => void Object.assign(key, { state: 'PendingImport' }),
      'key material',
    ],
    [
      'in a store that is away',
      (key) => void Object.assign(key, { state: 'Unavailable' }),
      'disconnected',
    ],
  ])('that is %s, at the load and at a signature', async (_, change, says) => {
    const key = kms.createKey('P-256')
    const signer = await load({ keyId: key.arn })
    change(key)
    for (const promise of [signer.sign(input), load({ keyId: key.arn })]) {
      expect(await rejection(promise)).toMatchObject({
        code: 'ERR_SIGNER_KEY_DISABLED',
        retryable: false,
        message: expect.stringContaining(says),
      })
    }
    kms.enableKey(key)
    expect(await signer.sign(input)).toHaveLength(64)
  })
})

describe('AWS credentials', () => {
  const absent = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined }

  test('that are nowhere are asked for', async () => {
    for (const name of Object.keys(absent)) delete process.env[name]
    expect(await rejection(load({}))).toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining('No usable AWS credentials were found'),
    })
    expect(kms.requests).toEqual([])
  })

  test.each<['GetPublicKey' | 'Sign']>([['GetPublicKey'], ['Sign']])(
    'that lack kms:%s are refused when the key is loaded, with what they lack',
    async (operation) => {
      kms.deny(operation)
      expect(await rejection(load({}))).toMatchObject({
        code: 'ERR_SIGNER_ACCESS_DENIED',
        message: `AWS KMS denies access to the key; these credentials need kms:${operation} on it, by IAM policy, key policy or grant`,
      })
    },
  )

  test('that lose kms:Sign later are refused at the signature', async () => {
    const signer = await load({})
    kms.deny('Sign')
    expect(await rejection(signer.sign(input))).toMatchObject<{ code: SignerErrorCode }>({
      code: 'ERR_SIGNER_ACCESS_DENIED',
    })
  })

  test('need kms:GetPublicKey and kms:Sign, and nothing else is asked of KMS', async () => {
    const signer = await load({ keyId: kms.setAlias('alias/least', key).replace(/^.*:/, '') })
    for (let n = 0; n < 3; n++) await signer.sign(input)
    expect(new Set(kms.requests.map(({ operation }) => operation))).toEqual(
      new Set(['GetPublicKey', 'Sign']),
    )
  })
})

describe('an option of the wrong type is a TypeError:', () => {
  test.each<[string, Record<string, unknown>]>([
    ['no keyId', { keyId: undefined }],
    ['keyId', { keyId: 7 }],
    ['region', { region: 7 }],
    ['client', { client: {} }],
    ['null as client', { client: null }],
    ['region beside client', { region: 'eu-west-1', client: { send() {} } }],
    ['kid', { kid: '' }],
    ['verify', { verify: 'no' }],
    ['signal', { signal: {} }],
    ['alg', { alg: 256 }],
  ])('%s', async (_, options) => {
    expect(await rejection(load(options as Partial<AwsKmsSignerOptions>))).toBeInstanceOf(TypeError)
  })
})
