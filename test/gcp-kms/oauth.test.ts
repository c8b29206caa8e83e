import { jwks } from '@countersign/core'
import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { signerOver, startKms, versionOf } from './fixtures.ts'

const resource = 'https://resource.test/mcp'

// oidc-provider does not know secp256k1.
test.each([
  ['EC_SIGN_P256_SHA256', undefined],
  ['EC_SIGN_P384_SHA384', undefined],
  ['EC_SIGN_ED25519', undefined],
  ['EC_SIGN_ED25519', 'Ed25519'],
  ['RSA_SIGN_PKCS1_2048_SHA256', undefined],
  ['RSA_SIGN_PKCS1_3072_SHA256', undefined],
  ['RSA_SIGN_PKCS1_4096_SHA512', undefined],
  ['RSA_SIGN_PSS_2048_SHA256', undefined],
  ['RSA_SIGN_PSS_3072_SHA256', undefined],
  ['RSA_SIGN_PSS_4096_SHA512', undefined],
] as const)(
  'an authorization server that others wrote gives a token for an assertion by %s (%s)',
  async (algorithm, alg) => {
    const kms = await startKms()
    const signer = await signerOver(kms, { name: versionOf(kms.createKey({ algorithm })), alg })
    const server = await startAuthorizationServer({
      clientAuthSigningAlgs: [signer.alg],
      resources: { [resource]: ['read'] },
      clients: [
        {
          client_id: 'agent',
          token_endpoint_auth_method: 'private_key_jwt',
          token_endpoint_auth_signing_alg: signer.alg,
          jwks: jwks(signer),
        },
      ],
    })
    try {
      kms.forget()
      const source = tokenSource({
        issuer: server.issuer,
        clientId: 'agent',
        authentication: privateKeyJwt(signer),
        resource,
        scope: 'read',
      })
      expect(decodeJwt(await source.token())).toMatchObject({ aud: resource, scope: 'read' })
      expect(kms.requests.map(({ method }) => method)).toEqual(['AsymmetricSign'])
      expect(server.tokenRequests).toMatchObject([
        { status: 200, assertion: { header: { alg: signer.alg, kid: signer.kid } } },
      ])
    } finally {
      await server.close()
    }
  },
)
