import type { JwsAlgorithm } from '@countersign/core'
import { pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { input, isSignatureOf, on } from './fixtures.ts'

let hsm: SoftHsm
let token: Token
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('mechanisms')
  await token.generateKey({ type: 'rsa:2048', label: 'rsa' })
  for (const curve of ['prime256v1', 'secp384r1', 'secp521r1']) {
    await token.generateKey({ type: `EC:${curve}`, label: curve })
  }
  shim = createShim(hsm)
})

afterEach(() => {
  shim.forget()
  hsm.setMechanisms('ALL')
})

afterAll(() => hsm?.remove())

async function signs(label: string, alg: JwsAlgorithm): Promise<boolean> {
  await using signer = await pkcs11Signer({ ...on(token, shim.module), key: { label }, alg })
  return isSignatureOf(signer, await signer.sign(input))
}

const used = () => [
  ...new Set(
    shim
      .calls()
      .filter(({ name }) => name === 'C_SignInit')
      .map(({ detail }) => detail),
  ),
]

test.each([
  ['CKM_SHA256_RSA_PKCS,CKM_RSA_PKCS', 'RS256', 0x40],
  ['CKM_RSA_PKCS', 'RS256', 0x1],
  ['CKM_RSA_PKCS,CKM_MD5_RSA_PKCS,CKM_SHA1_RSA_PKCS', 'RS384', 0x1],
  ['CKM_RSA_PKCS', 'RS512', 0x1],
  ['CKM_SHA256_RSA_PKCS_PSS,CKM_RSA_PKCS_PSS', 'PS256', 0x43],
  ['CKM_RSA_PKCS_PSS', 'PS256', 0xd],
  ['CKM_RSA_PKCS_PSS', 'PS384', 0xd],
  ['CKM_RSA_PKCS_PSS', 'PS512', 0xd],
] as const)('a token that has only %s signs %s by mechanism %i', async (there, alg, mechanism) => {
  hsm.setMechanisms(there)
  expect(await signs('rsa', alg)).toBe(true)
  expect(used()).toEqual([mechanism])
})

test.each([
  ['ES256', 'prime256v1', 0x1044],
  ['ES384', 'secp384r1', 0x1045],
  ['ES512', 'secp521r1', 0x1046],
] as const)(
  'a token that signs ECDSA only over what it hashes itself signs %s',
  async (alg, label, mechanism) => {
    expect(await signs(label, alg)).toBe(true)
    expect(used()).toEqual([0x1041])
    shim.forget()
    shim.set('mechanisms.hashing')
    expect(await signs(label, alg)).toBe(true)
    expect(used()).toEqual([mechanism])
  },
)

test('an algorithm without a mechanism is refused with a list of the available ones', async () => {
  hsm.setMechanisms('CKM_RSA_PKCS,CKM_SHA1_RSA_PKCS,CKM_MD5')
  await expect(signs('rsa', 'PS256')).rejects.toMatchObject({
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
    message: 'The token has no mechanism for PS256; it has those for RS256, RS384, RS512',
  })
  await expect(signs('prime256v1', 'ES256')).rejects.toMatchObject({
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
    message: 'The token has no mechanism for ES256; it has those for RS256, RS384, RS512',
  })
  hsm.setMechanisms('CKM_MD5,CKM_SHA_1')
  await expect(signs('rsa', 'RS256')).rejects.toMatchObject({
    message: 'The token has no mechanism for RS256; it has those for no JWS algorithm',
  })
})

test('without the option "alg", an RSA key uses the first algorithm that its token has', async () => {
  const open = () => pkcs11Signer({ ...on(token, hsm.module), key: { label: 'rsa' } })
  await using signer = await open()
  expect(signer.alg).toBe('RS256')
  await signer.close()
  hsm.setMechanisms('CKM_RSA_PKCS_PSS')
  await using other = await open()
  expect(other.alg).toBe('PS256')
})

test('an algorithm that does not fit the key is refused with a list of those that do', async () => {
  await expect(signs('prime256v1', 'RS256')).rejects.toMatchObject({
    code: 'ERR_SIGNER_CONFIG',
    message: 'The algorithm RS256 does not fit this key; use ES256',
  })
  await expect(signs('rsa', 'ES256')).rejects.toMatchObject({ code: 'ERR_SIGNER_CONFIG' })
})
