import type { KeySpec } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { type JwsAlgorithm, jwks, signJws } from '@countersign/core'
import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { checkSigner } from '@countersign/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifiedByJose, verifiesWithNode } from '../../packages/core/test/verification.ts'
import {
  CLIENT_AUTH_SIGNING_ALGS,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { type MiniStack, startMiniStack } from '../servers/ministack.js'
import { watchConnections } from '../support/connections.js'
import { createKey, rootOf } from './fixtures.ts'

const rsa: readonly JwsAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const keys: Readonly<Partial<Record<KeySpec, readonly JwsAlgorithm[]>>> = {
  ECC_NIST_P256: ['ES256'],
  ECC_NIST_P384: ['ES384'],
  ECC_NIST_P521: ['ES512'],
  ECC_SECG_P256K1: ['ES256K'],
  RSA_2048: rsa,
  RSA_3072: rsa,
  RSA_4096: rsa,
  ECC_NIST_EDWARDS25519: ['EdDSA', 'Ed25519'],
}
const every = Object.entries(keys).flatMap(([spec, algs]) =>
  algs.map((alg) => ({ spec: spec as KeySpec, alg })),
)

const connections = watchConnections()
const arns = new Map<KeySpec, string>()
let ministack: MiniStack

beforeAll(async () => {
  ministack = await startMiniStack()
  const root = rootOf(ministack)
  for (const { spec } of every) {
    if (!arns.has(spec)) arns.set(spec, await createKey(root, spec))
  }
}, 120_000)

afterAll(async () => {
  expect(connections.abroad()).toEqual([])
  connections.stop()
  await ministack?.close()
})

describe.each(every)('a key of $spec as $alg', ({ spec, alg }) => {
  const open = () => awsKmsSigner({ keyId: arns.get(spec) ?? '', client: rootOf(ministack), alg })

  test('keeps the contract of a signer', async () => {
    const signatures = spec.startsWith('RSA') ? 16 : 512
    expect(await checkSigner(open, { signatures })).toEqual([])
  }, 60_000)

  test('is verified by node:crypto and by jose', async () => {
    const signer = await open()
    const jws = await signJws(signer, 'what is signed here')
    expect(verifiesWithNode(jws, signer.publicJwk)).toBe(true)
    // jose does not support secp256k1.
    if (alg === 'ES256K') return
    expect(await verifiedByJose(jws, signer.publicJwk)).toMatchObject({
      header: { alg, kid: signer.kid },
    })
  })
})

describe.each(
  every.filter(
    ({ spec, alg }) => CLIENT_AUTH_SIGNING_ALGS.includes(alg) && !/[34]\d{3}$/.test(spec),
  ),
)('an assertion signed as $alg with a key of $spec', ({ spec, alg }) => {
  test('gets a token from oidc-provider', async () => {
    const keyId = arns.get(spec) ?? ''
    const signer = await awsKmsSigner({ keyId, client: rootOf(ministack), alg })
    const resource = 'https://resource.test/mcp'
    const server = await startAuthorizationServer({
      resources: { [resource]: ['read'] },
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
      const authentication = privateKeyJwt(signer)
      const { issuer } = server
      const source = tokenSource({ issuer, clientId: 'agent', authentication, resource })
      expect(await source.token()).toEqual(expect.any(String))
      expect(server.tokenRequests).toMatchObject([{ status: 200, assertion: { header: { alg } } }])
    } finally {
      await server.close()
    }
  })
})
