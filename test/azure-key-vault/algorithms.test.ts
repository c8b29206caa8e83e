import { createPublicKey } from 'node:crypto'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { jwks, signJws } from '@countersign/core'
import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { checkSigner } from '@countersign/testkit'
import { compactVerify } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import { input } from '../clouds/fixtures.ts'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { algorithmsOf, every, isSignature, openVaults, via } from './fixtures.ts'

const { vault, hsm } = await openVaults()
const authorizationServer = await startAuthorizationServer()
afterAll(() => authorizationServer.close())

// Of RSA one key is followed to the rare short signature: all others take the same way.
const signatures = (kind: string, alg: string) =>
  kind.startsWith('RSA') && `${kind} ${alg}` !== 'RSA-2048 RS256' ? 8 : 1024

describe.each(every)('a $kind key as $alg', ({ kind, alg }) => {
  test('keeps the contract of a signer', async () => {
    const { id } = vault.createKey(`kit-${kind}`, { kind })
    const open = () => azureKeyVaultSigner({ keyId: id, alg, ...via(vault) })
    expect(await checkSigner(open, { signatures: signatures(kind, alg) })).toEqual([])
  }, 120_000)

  test('makes signatures that jose and node:crypto accept, and not for a second key', async () => {
    const { id, privateKey } = vault.createKey(`verified-${kind}`, { kind })
    const other = vault.createKey(`other-${kind}`, { kind, nth: 1 })
    const signer = await azureKeyVaultSigner({ keyId: id, alg, ...via(vault) })
    const signature = await signer.sign(input)
    expect(isSignature(alg, createPublicKey(privateKey), signature)).toBe(true)
    expect(isSignature(alg, createPublicKey(other.privateKey), signature)).toBe(false)
    // jose has no ES256K.
    if (alg === 'ES256K') return
    const jws = await signJws(signer, input)
    const { payload } = await compactVerify(jws, createPublicKey(privateKey))
    expect(Buffer.from(payload)).toEqual(input)
    await expect(compactVerify(jws, createPublicKey(other.privateKey))).rejects.toThrow()
  })

  test('is the same as RSA-HSM or EC-HSM on a Managed HSM', async () => {
    const { id, privateKey } = hsm.createKey(`hsm-${kind}`, { kind })
    const signer = await azureKeyVaultSigner({ keyId: id, alg, ...via(hsm) })
    expect(isSignature(alg, createPublicKey(privateKey), await signer.sign(input))).toBe(true)
  })

  // oidc-provider has no ES256K.
  test.skipIf(alg === 'ES256K')('gets a token from oidc-provider', async () => {
    const { id } = vault.createKey(`oauth-${kind}`, { kind })
    const signer = await azureKeyVaultSigner({ keyId: id, alg, ...via(vault) })
    await authorizationServer.registerClient({
      client_id: `${kind}-${alg}`,
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: alg,
      jwks: jwks(signer),
    })
    const source = tokenSource({
      issuer: authorizationServer.issuer,
      clientId: `${kind}-${alg}`,
      authentication: privateKeyJwt(signer),
    })
    expect(await source.token()).toMatch(/./)
  })
})

test.each(Object.entries(algorithmsOf))(
  'without "alg", a %s key takes the first of %j',
  async (kind, algs) => {
    const { id } = vault.createKey(`default-${kind}`, { kind: kind as keyof typeof algorithmsOf })
    const signer = await azureKeyVaultSigner({ keyId: id, ...via(vault) })
    expect(signer.alg).toBe(algs[0])
  },
)
