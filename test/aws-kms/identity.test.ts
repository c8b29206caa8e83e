import { createPublicKey, verify } from 'node:crypto'
import { awsKmsSigner } from '@countersign/aws-kms'
import { jwks, rotating, type Signer, signJws } from '@countersign/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { input, rejection } from '../clouds/fixtures.ts'
import { type AwsKms, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { clientOf, open } from './fixtures.ts'

let kms: AwsKms

beforeAll(async () => {
  kms = await startAwsKms()
})

afterEach(() => kms.forget())

afterAll(() => kms.close())

async function signsWithItsKey(signer: Signer): Promise<boolean> {
  const key = createPublicKey({ key: { ...signer.publicJwk }, format: 'jwk' })
  return verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, await signer.sign(input))
}

test('a signer stays with its key when the alias that named it moves', async () => {
  const [first, second] = [kms.createKey('P-256'), kms.createKey('P-256')]
  for (const alias of ['alias/agent', kms.setAlias('alias/agent', first)]) {
    kms.setAlias('alias/agent', first)
    const before = await awsKmsSigner({ keyId: alias, client: clientOf(kms) })
    kms.setAlias('alias/agent', second)
    const after = await awsKmsSigner({ keyId: alias, client: clientOf(kms) })
    expect(await signsWithItsKey(before)).toBe(true)
    expect(await signsWithItsKey(after)).toBe(true)
    expect(before.publicJwk).toMatchObject(first.publicKey.export({ format: 'jwk' }))
    expect(after.publicJwk).toMatchObject(second.publicKey.export({ format: 'jwk' }))
    expect(jwks(before, after).keys).toHaveLength(2)
  }
})

test('an alias that moves between the reading of the key and the first signature changes nothing', async () => {
  const [first, second] = [kms.createKey('P-256'), kms.createKey('P-256')]
  kms.setAlias('alias/agent', first)
  const inner = clientOf(kms)
  const client = {
    async send(command: Parameters<typeof inner.send>[0]) {
      const answer = await inner.send(command)
      kms.setAlias('alias/agent', second)
      return answer
    },
  }
  const signer = await awsKmsSigner({ keyId: 'alias/agent', client })
  expect(signer.publicJwk).toMatchObject(first.publicKey.export({ format: 'jwk' }))
  expect(await signsWithItsKey(signer)).toBe(true)
})

test.each<[string, (key: KmsKey) => void]>([
  ['disabled', (key) => kms.disableKey(key)],
  ['deleted', (key) => kms.deleteKey(key)],
])(
  'a rotating source follows the alias when the old key is %s, and no signature fails',
  async (_, end) => {
    const [first, second] = [kms.createKey('P-256'), kms.createKey('P-256')]
    const client = clientOf(kms)
    kms.setAlias('alias/agent', first)
    const source = rotating(({ signal }) => awsKmsSigner({ keyId: 'alias/agent', client, signal }))
    const { kid: before } = await open(kms, first)
    const { kid: after } = await open(kms, second)
    expect(headerOf(await signJws(source, input)).kid).toBe(before)
    kms.setAlias('alias/agent', second)
    expect(headerOf(await signJws(source, input)).kid).toBe(before)
    end(first)
    expect(headerOf(await signJws(source, input)).kid).toBe(after)
    await source.close()
  },
)

const headerOf = (jws: string) =>
  JSON.parse(Buffer.from(jws.split('.')[0] ?? '', 'base64url').toString())

describe('if another key replaces the key of an ARN', () => {
  test('its signatures are refused', async () => {
    const [key, other] = [kms.createKey('P-256'), kms.createKey('P-256')]
    const signer = await open(kms, key)
    key.privateKey = other.privateKey
    expect(await rejection(signer.sign(input))).toMatchObject({
      code: 'ERR_SIGNER_INTEGRITY',
      message: expect.stringContaining('does not verify with the public key of this signer'),
    })
  })
})

describe('a signer with verify: false', () => {
  test('still refuses a signature whose response names another key', async () => {
    const signer = await open(kms, kms.createKey('P-256'), { verify: false })
    kms.fail('other key, by its name')
    expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
    kms.forget()
    kms.fail('flipped bit')
    expect(await signer.sign(input)).toHaveLength(64)
  })
})

describe('an answer to GetPublicKey', () => {
  test.each([
    ['a key ID', 'id'],
    ['a key ARN', 'arn'],
  ] as const)('for another key than %s names is refused', async (_, form) => {
    kms.fail('other name', { operation: 'GetPublicKey' })
    const { [form]: keyId } = kms.createKey('P-256')
    expect(await rejection(awsKmsSigner({ keyId, client: clientOf(kms) }))).toMatchObject({
      code: 'ERR_SIGNER_INTEGRITY',
      message: 'AWS KMS answered for another key than "keyId"; the answer was discarded',
    })
  })

  test('for an alias ARN of another region or account is refused', async () => {
    const key = kms.createKey('P-256')
    const keyId = kms.setAlias('alias/agent', key)
    for (const [from, to] of [
      ['eu-west-1', 'us-east-1'],
      ['111122223333', '444455556666'],
    ] as const) {
      const arn = key.arn
      key.arn = arn.replace(from, to)
      expect(await rejection(awsKmsSigner({ keyId, client: clientOf(kms) }))).toMatchObject({
        code: 'ERR_SIGNER_INTEGRITY',
      })
      key.arn = arn
    }
  })

  test('that names the key by an alias is refused: an alias can move', async () => {
    const key = kms.createKey('P-256')
    key.arn = kms.setAlias('alias/agent', key)
    expect(
      await rejection(awsKmsSigner({ keyId: 'alias/agent', client: clientOf(kms) })),
    ).toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
  })
})
