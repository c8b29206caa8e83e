import type { ClosableSigner, JwsAlgorithm } from '@countersign/core'
import { clientAssertion, jwks } from '@countersign/core'
import { pkcs11Signer } from '@countersign/pkcs11'
import { checkSigner } from '@countersign/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { createP11KitServer, type P11KitServer } from '../support/p11-kit.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { modes, on } from './fixtures.ts'

const rsa: readonly JwsAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']

/** What a key is generated as, and the algorithms it is for. */
const keys: Readonly<Record<string, readonly JwsAlgorithm[]>> = {
  'EC:prime256v1': ['ES256'],
  'EC:secp384r1': ['ES384'],
  'EC:secp521r1': ['ES512'],
  'EC:secp256k1': ['ES256K'],
  'rsa:2048': rsa,
  'rsa:3072': rsa,
  'rsa:4096': rsa,
  'EC:edwards25519': ['EdDSA', 'Ed25519'],
}

// Of RSA one key is followed to the rare short signature: all others take the same way.
const every = Object.entries(keys).flatMap(([label, algs]) =>
  algs.map((alg) => ({
    label,
    alg,
    signatures: label.startsWith('EC') || `${label} ${alg}` === 'rsa:2048 RS256' ? 2048 : 8,
  })),
)

let hsm: SoftHsm
let token: Token
let server: P11KitServer
/** Kept open, so that the others share its process and need not start one each. */
const kept: ClosableSigner[] = []

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('algorithms')
  for (const [n, type] of Object.keys(keys).entries()) {
    await token.generateKey({ type, label: type, id: `0${n}` })
  }
  server = createP11KitServer(hsm, token.label)
  await server.start()
  const key = { label: 'EC:prime256v1' }
  for (const module of [hsm.module, server.module]) {
    kept.push(await pkcs11Signer({ ...on(token, module), key }))
  }
}, 120_000)

afterAll(async () => {
  for (const signer of kept) await signer.close()
  await server?.end()
  hsm?.remove()
})

describe.each(modes)('with SoftHSM $where', ({ isolate }) => {
  test.each(every)(
    'a key of $label keeps the contract of a signer as $alg',
    async ({ label, alg, signatures }) => {
      const open = () => pkcs11Signer({ ...on(token, hsm.module), key: { label }, alg, isolate })
      expect(await checkSigner(open, { signatures })).toEqual([])
    },
  )
})

describe('through p11-kit', () => {
  const there = every.filter(({ label }) => label !== 'EC:edwards25519' && label !== 'rsa:4096')

  test.each(there)(
    'a key of $label keeps the contract of a signer as $alg',
    async ({ label, alg }) => {
      const open = () => pkcs11Signer({ ...on(token, server.module), key: { label }, alg })
      expect(await checkSigner(open, { signatures: 8 })).toEqual([])
    },
  )

  test('a key that the client has no mechanism for is refused with a list of its mechanisms', async () => {
    const opening = pkcs11Signer({ ...on(token, server.module), key: { label: 'EC:edwards25519' } })
    await expect(opening).rejects.toMatchObject({
      code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      message:
        'The token has no mechanism for EdDSA; it has those for ES256, ES384, ES512, ES256K, RS256, RS384, RS512, PS256, PS384, PS512',
    })
  })
})

describe('oidc-provider', () => {
  test.each(every.filter(({ alg }) => alg !== 'ES256K'))(
    'accepts an assertion signed as $alg with a key of $label',
    async ({ label, alg }) => {
      await using signer = await pkcs11Signer({ ...on(token, hsm.module), key: { label }, alg })
      const server = await startAuthorizationServer({
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
        const response = await fetch(server.metadata.token_endpoint, {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'client_credentials',
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
            client_assertion: await clientAssertion(signer, {
              clientId: 'agent',
              audience: server.issuer,
            }),
          }),
        })
        expect(await response.json()).toMatchObject({ access_token: expect.any(String) })
      } finally {
        await server.close()
      }
    },
  )
})
