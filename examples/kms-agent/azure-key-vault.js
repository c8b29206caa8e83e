// @ts-check
import assert from 'node:assert/strict'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { clientAssertion, jwks } from '@countersign/core'
import { createLocalJWKSet, jwtVerify } from 'jose'

// Any TokenCredential: here a token from the environment, in an application usually one of @azure/identity.
const credential = {
  async getToken() {
    const token = process.env['AZURE_TOKEN'] ?? ''
    return { token, expiresOnTimestamp: Date.now() + 300_000 }
  },
}
// https://VAULT.vault.azure.net/keys/NAME, with or without a version
const signer = await azureKeyVaultSigner({
  keyId: process.env['AZURE_KEY_ID'] || '',
  credential,
  clientOptions: { retryOptions: { maxRetries: 5 } },
})

const assertion = await clientAssertion(signer, {
  clientId: 'example-agent',
  audience: 'https://as.example.com',
})
const { payload } = await jwtVerify(assertion, createLocalJWKSet(jwks(signer)))
assert.equal(payload.sub, 'example-agent')
console.log(`The key ${signer.kid} (${signer.alg}) signed an assertion for ${payload.aud}`)
await signer.close()
