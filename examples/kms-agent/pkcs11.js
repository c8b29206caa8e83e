// @ts-check
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { clientAssertion, jwks } from '@countersign/core'
import { pkcs11Signer } from '@countersign/pkcs11'
import { createLocalJWKSet, jwtVerify } from 'jose'

const { PKCS11_MODULE, PKCS11_TOKEN, PKCS11_KEY, PKCS11_PIN_FILE } = process.env
const signer = await pkcs11Signer({
  module: PKCS11_MODULE || '/usr/lib/softhsm/libsofthsm2.so',
  token: { label: PKCS11_TOKEN || 'agents' },
  key: { label: PKCS11_KEY || 'agent' },
  // The function is called for each login.
  pin: async () => (await readFile(PKCS11_PIN_FILE || 'pin.txt', 'utf8')).trim(),
})

const assertion = await clientAssertion(signer, {
  clientId: 'example-agent',
  audience: 'https://as.example.com',
})
const { payload } = await jwtVerify(assertion, createLocalJWKSet(jwks(signer)))
assert.equal(payload.sub, 'example-agent')
console.log(`The key ${signer.kid} (${signer.alg}) signed an assertion for ${payload.aud}`)
await signer.close()
