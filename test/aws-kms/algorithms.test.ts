import { type JwsAlgorithm, jwks, type PublicJwk, signJws } from '@countersign/core'
import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { checkSigner } from '@countersign/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { verifiedByJose, verifiesWithNode } from '../../packages/core/test/verification.ts'
import { rejection } from '../clouds/fixtures.ts'
import {
  CLIENT_AUTH_SIGNING_ALGS,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { type AwsKms, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { watchConnections } from '../support/connections.js'
import type { KeyKind } from '../support/key-pairs.js'
import { clientOf, open } from './fixtures.ts'

const rsa: readonly JwsAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const keys: Readonly<Partial<Record<KeyKind, readonly JwsAlgorithm[]>>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  secp256k1: ['ES256K'],
  'RSA-2048': rsa,
  'RSA-3072': rsa,
  'RSA-4096': rsa,
  Ed25519: ['EdDSA', 'Ed25519'],
}
const every = Object.entries(keys).flatMap(([kind, algs]) =>
  algs.map((alg) => ({ kind: kind as KeyKind, alg })),
)

const publicJwkOf = ({ publicKey }: KmsKey) =>
  publicKey.export({ format: 'jwk' }) as Omit<PublicJwk, 'kid' | 'alg' | 'use'>

const connections = watchConnections()
let kms: AwsKms

beforeAll(async () => {
  kms = await startAwsKms()
})

afterEach(() => {
  expect(connections.abroad()).toEqual([])
  kms.forget()
})

afterAll(async () => {
  connections.stop()
  await kms.close()
})

describe.each(every)('a key of $kind as $alg', ({ kind, alg }) => {
  test('keeps the contract of a signer', async () => {
    const key = kms.createKey(kind, { nth: 0 })
    const client = clientOf(kms)
    // The conversion from DER is proven for the core; RSA takes no conversion.
    const signatures = kind.startsWith('RSA') ? 16 : 512
    expect(await checkSigner(() => open(kms, key, { alg, client }), { signatures })).toEqual([])
  })

  test('is verified by jose and by node:crypto under the key that KMS has, and not under another', async () => {
    const key = kms.createKey(kind, { nth: 0 })
    const other = kms.createKey(kind, { nth: 1 })
    const signer = await open(kms, key, { alg })
    const jws = await signJws(signer, 'what is signed here')
    const published = { kid: signer.kid, alg, use: 'sig' as const }
    const asKmsHasIt = { ...published, ...publicJwkOf(key) }
    expect({ ...published, ...signer.publicJwk }).toEqual(asKmsHasIt)
    expect(verifiesWithNode(jws, asKmsHasIt)).toBe(true)
    expect(verifiesWithNode(jws, { ...published, ...publicJwkOf(other) })).toBe(false)
    // jose knows no secp256k1.
    if (alg === 'ES256K') return
    expect(await verifiedByJose(jws, signer.publicJwk)).toEqual({
      header: { alg, kid: signer.kid },
      payload: 'what is signed here',
    })
  })

  test('is asked for the digest where there is one, and for the message where there is none', async () => {
    const signer = await open(kms, kms.createKey(kind, { nth: 0 }), { alg })
    kms.forget()
    const input = Buffer.alloc(4096, 7)
    await signer.sign(input)
    const digestLength = kind === 'Ed25519' ? undefined : Number(/256|384|512/.exec(alg)) / 8
    expect(kms.requests).toMatchObject([{ operation: 'Sign' }])
    const { Message, MessageType } = kms.requests[0]?.input ?? {}
    expect(MessageType).toBe(digestLength === undefined ? 'RAW' : 'DIGEST')
    expect(Buffer.from(String(Message), 'base64')).toHaveLength(digestLength ?? 4096)
  })
})

describe('by default a key of', () => {
  test.each<[KeyKind, JwsAlgorithm]>([
    ['P-256', 'ES256'],
    ['RSA-3072', 'RS256'],
    ['Ed25519', 'EdDSA'],
  ])('%s is used as %s', async (kind, alg) => {
    expect(await open(kms, kms.createKey(kind))).toMatchObject({ alg })
  })

  test('RSA that is for PSS alone is used as PS256', async () => {
    const key = kms.createKey('RSA-2048', { signingAlgorithms: ['RSASSA_PSS_SHA_256'] })
    expect(await open(kms, key)).toMatchObject({ alg: 'PS256' })
  })
})

describe('an Ed25519 key', () => {
  test.each([0, 4097])('signs no input of %i octets, and KMS is not asked to', async (octets) => {
    const signer = await open(kms, kms.createKey('Ed25519'))
    kms.forget()
    expect(await rejection(signer.sign(Buffer.alloc(octets)))).toMatchObject({
      code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      message: expect.stringContaining(
        `AWS KMS signs 1 to 4096 octets as EdDSA, and this input has ${octets}`,
      ),
    })
    expect(kms.requests).toEqual([])
  })
})

describe.each(
  every.filter(({ kind, alg }) => CLIENT_AUTH_SIGNING_ALGS.includes(alg) && kind !== 'RSA-4096'),
)('an assertion signed as $alg with a key of $kind', ({ kind, alg }) => {
  test('gets a token from oidc-provider', async () => {
    const signer = await open(kms, kms.createKey(kind, { nth: 0 }), { alg })
    const server = await startAuthorizationServer({
      resources: { 'https://resource.test/mcp': ['read'] },
      clients: [
        {
          client_id: 'agent',
          token_endpoint_auth_method: 'private_key_jwt',
          token_endpoint_auth_signing_alg: alg,
          jwks: jwks(signer),
        },
      ],
    })
    try {
      const source = tokenSource({
        issuer: server.issuer,
        clientId: 'agent',
        authentication: privateKeyJwt(signer),
        resource: 'https://resource.test/mcp',
      })
      kms.forget()
      expect(await source.token()).toEqual(expect.any(String))
      expect(server.tokenRequests).toMatchObject([
        { status: 200, assertion: { header: { alg, kid: signer.kid } } },
      ])
      expect(kms.requests).toHaveLength(1)
    } finally {
      await server.close()
    }
  })
})

test('a signature is one call of Sign, and a signer one call more', async () => {
  const key = kms.createKey('P-256')
  const signer = await open(kms, key)
  expect(kms.requests.map(({ operation }) => operation)).toEqual(['GetPublicKey', 'Sign'])
  for (let n = 0; n < 50; n++) await signer.sign(Buffer.from(`input ${n}`))
  expect(kms.requests).toHaveLength(52)
  await Promise.all(Array.from({ length: 50 }, (_, n) => signer.sign(Buffer.from(`${n}`))))
  expect(kms.requests).toHaveLength(102)
})
