// @ts-check
import assert from 'node:assert/strict'
import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { clientAssertion, jwks } from '@countersign/core'
import { createLocalJWKSet, jwtVerify } from 'jose'

// Region, credentials, proxy and retries are set as for any other use of the AWS SDK.
const client = new KMSClient({ maxAttempts: 5 })
const signer = await awsKmsSigner({ keyId: process.env['AWS_KMS_KEY'] || 'alias/agent', client })

const assertion = await clientAssertion(signer, {
  clientId: 'example-agent',
  audience: 'https://as.example.com',
})
const { payload } = await jwtVerify(assertion, createLocalJWKSet(jwks(signer)))
assert.equal(payload.sub, 'example-agent')
console.log(`The key ${signer.kid} (${signer.alg}) signed an assertion for ${payload.aud}`)
await signer.close()
client.destroy()
