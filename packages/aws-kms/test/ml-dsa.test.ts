import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { signJws } from '@countersign/core'
import { checkSigner } from '@countersign/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type AwsKms, startAwsKms } from '../../../test/servers/aws-kms.js'
import { mlDsa } from '../../core/test/keys.ts'
import { refusal } from '../../core/test/outcome.ts'
import { verifiesWithNode } from '../../core/test/verification.ts'

let kms: AwsKms
let client: KMSClient

beforeAll(async () => {
  kms = await startAwsKms()
  client = new KMSClient(kms.client)
})

afterEach(() => kms.forget())

afterAll(() => kms.close())

describe.skipIf(mlDsa)('an ML-DSA key on a Node.js without ML-DSA', () => {
  // SPKI of ML-DSA-44 (2.16.840.1.101.3.4.3.17), RFC 9881 §4.
  const spki = Buffer.concat([
    Buffer.from('30820532300b060960864801650304031103820521', 'hex'),
    Buffer.alloc(1313, 1).fill(0, 0, 1),
  ])

  it.each([true, false])('is refused with the Node.js it takes, verify: %s', async (verify) => {
    const { arn: keyId } = kms.showKey('ML-DSA-44', spki)
    const error = await refusal(() => awsKmsSigner({ keyId, client, verify }))
    expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
    expect(error.message).toContain('ML-DSA on Node.js 24.7 and later')
    expect(kms.requests).toHaveLength(1)
  })
})

describe.runIf(mlDsa)('an ML-DSA key', () => {
  describe.each(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const)('of %s', (alg) => {
    it('keeps the contract of a signer', async () => {
      const { arn: keyId } = kms.createKey(alg, { nth: 0 })
      expect(await checkSigner(() => awsKmsSigner({ keyId, client }), { signatures: 8 })).toEqual(
        [],
      )
    })

    it('signs the message itself, verifiably with node:crypto', async () => {
      const { arn: keyId } = kms.createKey(alg, { nth: 0 })
      const signer = await awsKmsSigner({ keyId, client })
      kms.forget()
      const jws = await signJws(signer, 'what is signed here')
      expect(verifiesWithNode(jws, signer.publicJwk)).toBe(true)
      expect(kms.requests).toMatchObject([
        { input: { MessageType: 'RAW', SigningAlgorithm: 'ML_DSA_SHAKE_256', KeyId: keyId } },
      ])
    })

    it.each([0, 4097])('signs no input of %i octets, and KMS is not asked to', async (octets) => {
      const { arn: keyId } = kms.createKey(alg, { nth: 0 })
      const signer = await awsKmsSigner({ keyId, client })
      kms.forget()
      const error = await refusal(() => signer.sign(Buffer.alloc(octets)))
      expect(error.code).toBe('ERR_SIGNER_KEY_UNSUPPORTED')
      expect(error.message).toContain(`AWS KMS signs 1 to 4096 octets as ${alg}`)
      expect(kms.requests).toEqual([])
    })

    it('refuses a signature by another key', async () => {
      const { arn: keyId } = kms.createKey(alg, { nth: 0 })
      const signer = await awsKmsSigner({ keyId, client })
      kms.fail('other key')
      const error = await refusal(() => signer.sign(Buffer.from('input')))
      expect(error.code).toBe('ERR_SIGNER_INTEGRITY')
    })
  })
})
