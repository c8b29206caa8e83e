import { clientAssertion } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { exportJWK, exportPKCS8, generateKeyPair, importJWK, type JWK, jwtVerify } from 'jose'
import { expect, it } from 'vitest'

it.each(['ES256', 'ES384', 'ES512', 'RS256', 'PS384', 'EdDSA'] as const)(
  'a key that jose made for %s signs here as CryptoKey, PEM and JWK, and jose verifies it',
  async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true })
    const forms = [privateKey, await exportPKCS8(privateKey), await exportJWK(privateKey)]
    for (const key of forms) {
      const signer = await localSigner({ key, alg })
      const jwt = await clientAssertion(signer, { clientId: 'c', audience: 'a' })
      const published = await importJWK({ ...signer.publicJwk } as JWK)
      const expected = {
        algorithms: [alg],
        issuer: 'c',
        audience: 'a',
        typ: 'client-authentication+jwt',
      }
      const { payload } = await jwtVerify(jwt, published, expected)
      expect(payload.sub).toBe('c')
    }
  },
)
