// @ts-check
import assert from 'node:assert/strict'
import { clientAssertion, jwks } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { createLocalJWKSet, jwtVerify } from 'jose'

// Endpoint, credentials and proxy are set as for any other use of the Google Cloud SDK.
const client = new KeyManagementServiceClient()
// projects/…/locations/…/keyRings/…/cryptoKeys/…, with or without /cryptoKeyVersions/N
const signer = await gcpKmsSigner({ name: process.env['GCP_KMS_KEY'] || '', client })

const assertion = await clientAssertion(signer, {
  clientId: 'example-agent',
  audience: 'https://as.example.com',
})
const { payload } = await jwtVerify(assertion, createLocalJWKSet(jwks(signer)))
assert.equal(payload.sub, 'example-agent')
console.log(`The key ${signer.kid} (${signer.alg}) signed an assertion for ${payload.aud}`)
await signer.close()
await client.close()
