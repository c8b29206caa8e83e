import { generateKeyPairSync } from 'node:crypto'
import { thumbprint } from '@countersign/core'
import { type Pkcs11SignerOptions, pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { certificateFor } from '../support/certificate.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { input, isSignature, isSignatureOf, modes, on } from './fixtures.ts'

const ec = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
const full = ec()
const certified = ec()
const bare = ec()
const nameless = ec()
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

let hsm: SoftHsm
let token: Token

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('keys')
  await token.importKey({ label: 'full', id: '01', privateKey: full.privateKey })
  await token.importKey({ label: 'certified', id: '02', privateKey: certified.privateKey })
  await token.deleteObject({ kind: 'pubkey', id: '02' })
  const certificate = certificateFor(certified.publicKey)
  await token.importCertificate({ label: 'certified', id: '02', certificate })
  await token.importKey({ label: 'bare', id: '03', privateKey: bare.privateKey })
  await token.deleteObject({ kind: 'pubkey', id: '03' })
  await token.importKey({ label: 'rsa', id: '04', privateKey: rsa.privateKey })
  await token.deleteObject({ kind: 'pubkey', id: '04' })
  await token.importKey({ label: 'twin', id: '05', privateKey: ec().privateKey })
  await token.importKey({ label: 'twin', id: '06', privateKey: ec().privateKey })
  await token.importKey({
    label: '',
    id: '0123456789abcdef0123456789abcdef01234567',
    privateKey: nameless.privateKey,
  })
  await hsm.createToken('twins')
  await hsm.createToken('twins')
})

afterAll(() => hsm?.remove())

describe.each(modes)('$where', ({ isolate }) => {
  const open = (options: Partial<Pkcs11SignerOptions>) =>
    pkcs11Signer({ ...on(token, hsm.module), isolate, key: { label: 'full' }, ...options })

  test('the public key is that of the public object', async () => {
    await using signer = await open({})
    expect(isSignature('ES256', full.publicKey, await signer.sign(input))).toBe(true)
    expect(signer.publicJwk).toMatchObject(full.publicKey.export({ format: 'jwk' }))
    expect(signer.kid).toBe(thumbprint({ ...full.publicKey.export({ format: 'jwk' }) }))
  })

  test('without a public object it is that of the certificate with the same ID', async () => {
    await using signer = await open({ key: { label: 'certified' } })
    expect(isSignature('ES256', certified.publicKey, await signer.sign(input))).toBe(true)
    expect(signer.publicJwk).toMatchObject(certified.publicKey.export({ format: 'jwk' }))
  })

  test('without either, the public key of an RSA key is read from its private object', async () => {
    await using signer = await open({ key: { label: 'rsa' } })
    expect(signer.publicJwk).toMatchObject(rsa.publicKey.export({ format: 'jwk' }))
  })

  test('without either, it is the one that the caller gives', async () => {
    const { publicKey } = bare
    for (const given of [
      publicKey,
      publicKey.export({ format: 'jwk' }),
      publicKey.export({ format: 'pem', type: 'spki' }),
      publicKey.export({ format: 'der', type: 'spki' }),
    ]) {
      await using signer = await open({ key: { label: 'bare' }, publicKey: given })
      expect(isSignature('ES256', publicKey, await signer.sign(input))).toBe(true)
    }
  })

  test('without any, the key is refused, and the error says what would help', async () => {
    await expect(open({ key: { label: 'bare' } })).rejects.toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message:
        'The token has no public key and no certificate for the key "bare" (id 03); give its "publicKey"',
    })
  })

  test('a public key that is not that of the private one is refused at load', async () => {
    const refusal = {
      code: 'ERR_SIGNER_INTEGRITY',
      message: expect.stringContaining('does not belong to the private key on the token'),
    }
    const { publicKey } = full
    await expect(open({ key: { label: 'bare' }, publicKey })).rejects.toMatchObject(refusal)
    await expect(open({ publicKey: bare.publicKey })).rejects.toMatchObject(refusal)
    await using signer = await open({ publicKey })
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })

  test('a key without a label is found by its ID, in any spelling', async () => {
    const id = '0123456789ABCDEF0123456789abcdef01234567'
    for (const spelling of [id, id.toLowerCase(), Buffer.from(id, 'hex')]) {
      await using signer = await open({ key: { id: spelling } })
      expect(isSignature('ES256', nameless.publicKey, await signer.sign(input))).toBe(true)
    }
  })

  test('two keys with one name are refused with their IDs, and selected by ID', async () => {
    await expect(open({ key: { label: 'twin' } })).rejects.toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringMatching(
        /^2 private keys have label "twin"; choose by id: (?=.*id 05)(?=.*id 06)/,
      ),
    })
    await using signer = await open({ key: { label: 'twin', id: '06' } })
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })

  test('a missing key is refused with a list of the keys', async () => {
    await expect(open({ key: { label: 'nobody' } })).rejects.toMatchObject({
      code: 'ERR_SIGNER_KEY_NOT_FOUND',
      message: expect.stringMatching(
        /^No private key has label "nobody"; there are: .*"full", id 01/,
      ),
    })
    await expect(open({ key: { id: 'ff' } })).rejects.toMatchObject({
      code: 'ERR_SIGNER_KEY_NOT_FOUND',
    })
    await expect(open({ key: { label: 'full', id: '02' } })).rejects.toMatchObject({
      code: 'ERR_SIGNER_KEY_NOT_FOUND',
    })
  })

  test('a missing token is refused with a list of the tokens', async () => {
    for (const selector of [{ label: 'nowhere' }, { serial: 'beef' }, { slot: 4_000_000_000 }]) {
      await expect(open({ token: selector })).rejects.toMatchObject({
        code: 'ERR_SIGNER_CONFIG',
        message: expect.stringMatching(/^No token has .*; there are: .*label "keys", serial "\w+"/),
      })
    }
  })

  test('two tokens with one name are refused with their serial numbers, and selected by serial number', async () => {
    const refusal = await open({ token: { label: 'twins' } }).catch((error) => error)
    expect(refusal).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringMatching(/^2 tokens have label "twins"; choose by serial or slot: /),
    })
    const serial = /label "keys", serial "(\w+)", slot (\d+)/.exec(refusal.message)
    for (const selector of [
      { serial: serial?.[1] },
      { slot: Number(serial?.[2]) },
      { label: 'keys', serial: serial?.[1], slot: Number(serial?.[2]) },
    ]) {
      await using signer = await open({ token: selector })
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
    }
  })
})
