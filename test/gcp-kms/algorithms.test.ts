import { clientAssertion, type JwsAlgorithm, signJws } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { checkSigner } from '@countersign/testkit'
import { KeyManagementServiceClient, protos } from '@google-cloud/kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mlDsa } from '../../packages/core/test/keys.ts'
import { verifiedByJose, verifiesWithNode } from '../../packages/core/test/verification.ts'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { versionOf } from './fixtures.ts'

/** What the SDK has names for; old releases lack some. */
const known = protos.google.cloud.kms.v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm

interface Row {
  readonly algorithm: string
  readonly alg: JwsAlgorithm
  /** Whether it is what the key is used with when nothing is asked for. */
  readonly isDefault: boolean
  /** Of RSA one key is followed to the rare short signature: all others take the same way. */
  readonly signatures: number
}

const row = (algorithm: string, alg: JwsAlgorithm, signatures = 8, isDefault = true): Row => ({
  algorithm,
  alg,
  isDefault,
  signatures,
})

const rows: readonly Row[] = [
  row('EC_SIGN_P256_SHA256', 'ES256', 2048),
  row('EC_SIGN_P384_SHA384', 'ES384', 2048),
  row('EC_SIGN_SECP256K1_SHA256', 'ES256K', 2048),
  row('EC_SIGN_ED25519', 'EdDSA'),
  row('EC_SIGN_ED25519', 'Ed25519', 8, false),
  row('RSA_SIGN_PKCS1_2048_SHA256', 'RS256', 2048),
  row('RSA_SIGN_PKCS1_3072_SHA256', 'RS256'),
  row('RSA_SIGN_PKCS1_4096_SHA256', 'RS256'),
  row('RSA_SIGN_PKCS1_4096_SHA512', 'RS512'),
  row('RSA_SIGN_PSS_2048_SHA256', 'PS256'),
  row('RSA_SIGN_PSS_3072_SHA256', 'PS256'),
  row('RSA_SIGN_PSS_4096_SHA256', 'PS256'),
  row('RSA_SIGN_PSS_4096_SHA512', 'PS512'),
]

const postQuantum: readonly Row[] = [
  row('PQ_SIGN_ML_DSA_44', 'ML-DSA-44'),
  row('PQ_SIGN_ML_DSA_65', 'ML-DSA-65'),
  row('PQ_SIGN_ML_DSA_87', 'ML-DSA-87'),
].filter(({ algorithm }) => algorithm in known)

const runnable = mlDsa ? [...rows, ...postQuantum] : rows

let kms: GcpKms
let client: KeyManagementServiceClient

beforeAll(async () => {
  kms = await startGcpKms()
  client = new KeyManagementServiceClient(kms.clientOptions())
})

afterAll(async () => {
  await client.close()
  await kms.close()
})

const open = ({ algorithm, alg, isDefault }: Row) => {
  const name = versionOf(kms.createKey({ algorithm, id: algorithm }))
  return gcpKmsSigner({ name, client, alg: isDefault ? undefined : alg })
}

describe.each(runnable)('a key version for $algorithm, used as $alg,', (row) => {
  test('keeps the contract of a signer', { timeout: 120_000 }, async () => {
    expect(await checkSigner(() => open(row), { signatures: row.signatures })).toEqual([])
  })

  test('signs so that node:crypto verifies it', async () => {
    const signer = await open(row)
    expect(signer.alg).toBe(row.alg)
    expect(verifiesWithNode(await signJws(signer, 'payload'), signer.publicJwk)).toBe(true)
  })

  test.skipIf(row.alg === 'ES256K')('signs so that jose verifies it', async () => {
    const signer = await open(row)
    const jwt = await clientAssertion(signer, { clientId: 'c', audience: 'https://as.example.com' })
    const { header } = await verifiedByJose(jwt, signer.publicJwk)
    expect(header).toEqual({ alg: row.alg, kid: signer.kid, typ: 'client-authentication+jwt' })
  })

  test('signs so that the other key of its kind does not verify it', async () => {
    const signer = await open(row)
    const key = kms.createKey({ algorithm: row.algorithm, nth: 1 })
    const other = await gcpKmsSigner({ name: versionOf(key), client, alg: row.alg })
    expect(other.kid).not.toBe(signer.kid)
    expect(verifiesWithNode(await signJws(signer, 'payload'), other.publicJwk)).toBe(false)
  })

  test('is loaded and signs over REST', async () => {
    const name = versionOf(kms.createKey({ algorithm: row.algorithm }))
    const signer = await gcpKmsSigner({ name, alg: row.alg, clientOptions: kms.restOptions() })
    expect(verifiesWithNode(await signJws(signer, 'payload'), signer.publicJwk)).toBe(true)
  })
})

test.skipIf(mlDsa).each(postQuantum)(
  'a key version for $algorithm is refused where Node.js cannot verify its signatures',
  async (row) => {
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    kms.version(name).algorithm = row.algorithm
    await expect(gcpKmsSigner({ name, client })).rejects.toMatchObject({
      code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      message: expect.stringContaining('ML-DSA on Node.js 24.7 and later'),
    })
  },
)

test('the hash is over the input, and the service is sent no more than that', async () => {
  const signer = await open(row('EC_SIGN_P384_SHA384', 'ES384'))
  kms.forget()
  await signer.sign(Buffer.from('a message that must not leave'))
  expect(kms.requests).toHaveLength(1)
  const [{ request } = { request: {} }] = kms.requests
  expect(request.digest.sha384).toHaveLength(48)
  expect(request.data).toHaveLength(0)
})
