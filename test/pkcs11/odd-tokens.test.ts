import { type Pkcs11SignerOptions, pkcs11Signer } from '@countersign/pkcs11'
import { checkSigner } from '@countersign/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { input, isSignatureOf, modes, on } from './fixtures.ts'

const curves = ['prime256v1', 'secp384r1', 'secp521r1', 'secp256k1', 'edwards25519']

let hsm: SoftHsm
let token: Token
// What is refused stays refused in this process: these are for that alone.
let toLoseAlone: Token
let toLoseHere: Token
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('odd')
  for (const curve of curves) await token.generateKey({ type: `EC:${curve}`, label: curve })
  await token.generateKey({ type: 'EC:prime256v1', id: '0123456789abcdef0123456789abcdef01234567' })
  toLoseAlone = await hsm.createToken('to lose alone')
  toLoseHere = await hsm.createToken('to lose here')
  for (const each of [token, toLoseAlone, toLoseHere]) {
    await each.generateKey({ type: 'EC:prime256v1', label: 'careful', args: ['--always-auth'] })
  }
  shim = createShim(hsm)
})

afterEach(() => shim.forget())

afterAll(() => hsm?.remove())

describe.each(modes)('$where', ({ isolate }) => {
  const open = (options: Partial<Pkcs11SignerOptions> = {}) =>
    pkcs11Signer({ ...on(token, shim.module), isolate, key: { label: 'prime256v1' }, ...options })

  test.each(curves)(
    'a token whose points are bare tells the key on %s as others do',
    async (label) => {
      await using usual = await open({ key: { label } })
      const { kid } = usual
      await usual.close()
      shim.set('C_GetAttributeValue.bare')
      await using signer = await open({ key: { label } })
      expect(signer.kid).toBe(kid)
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
    },
  )

  test('a token without any label is found by its serial number, its key by 20 octets', async () => {
    const refusal = await open({ token: { label: 'none' } }).catch((error) => error)
    const serial = /label "odd", serial "(\w+)"/.exec(refusal.message)?.[1]
    shim.set('C_GetTokenInfo.no-label')
    const key = { id: '0123456789abcdef0123456789abcdef01234567' }
    await using signer = await open({ token: { serial }, key })
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })

  test('a token with three sessions in all keeps the contract', async () => {
    shim.set('C_OpenSession.limit', 3)
    expect(await checkSigner(() => open({ sessions: 8 }), { signatures: 64 })).toEqual([])
  })

  test('a token with a single session keeps the contract, with one login', async () => {
    shim.set('C_OpenSession.limit', 1)
    await using signer = await open({ sessions: 4 })
    expect(await checkSigner(() => open({ sessions: 4 }), { signatures: 64 })).toEqual([])
    expect(shim.count('C_Login')).toBe(1)
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })

  test('a wrong signature is not returned', async () => {
    await using signer = await open()
    shim.set('C_Sign.garble')
    await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
    shim.clear('C_Sign.garble')
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })

  test('a token that signs wrongly is refused at load, with and without verification', async () => {
    shim.set('C_Sign.garble')
    for (const verify of [true, false]) {
      await expect(open({ verify })).rejects.toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
    }
  })

  describe('a key that requires its PIN for each signature', () => {
    const contextual = () => shim.calls().filter((c) => c.name === 'C_Login' && c.detail === 2)
    const user = () => shim.calls().filter((c) => c.name === 'C_Login' && c.detail === 1)

    test('gets it once for each, and signs', async () => {
      await using signer = await open({ key: { label: 'careful' } })
      expect(contextual()).toHaveLength(1)
      const signatures = await Promise.all(Array.from({ length: 20 }, () => signer.sign(input)))
      for (const signature of signatures) expect(isSignatureOf(signer, signature)).toBe(true)
      expect(contextual()).toHaveLength(21)
      expect(user()).toHaveLength(1)
    })

    test('and refuses it does not get it a second time', async () => {
      const key = { label: 'careful' }
      const own = isolate ? toLoseAlone : toLoseHere
      await using signer = await open({ ...on(own, shim.module), key })
      const before = contextual().length
      shim.set('C_Login.rv', 160)
      const attempts = Array.from({ length: 16 }, () => signer.sign(input))
      for (const { status } of await Promise.allSettled(attempts)) expect(status).toBe('rejected')
      await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_ACCESS_DENIED' })
      shim.clear('C_Login.rv')
      await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_ACCESS_DENIED' })
      expect(contextual().length).toBe(before + 1)
      expect(user()).toHaveLength(1)
    })
  })
})

test('a token with a single session signs again after a failed signature', async () => {
  shim.set('C_OpenSession.limit', 1)
  await using signer = await pkcs11Signer({
    ...on(token, shim.module),
    key: { label: 'prime256v1' },
  })
  shim.set('C_Sign.rv-once', 0x21)
  await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_BACKEND' })
  expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
})

describe('a module that requires library parameters', () => {
  const parameters =
    "configdir='/nowhere' certPrefix='' keyPrefix='' secmod='secmod.db' flags=readOnly"
  const open = (libraryParameters?: string) =>
    pkcs11Signer({ ...on(token, shim.module), key: { label: 'prime256v1' }, libraryParameters })

  test('gets all their characters', async () => {
    shim.set('C_Initialize.parameters', parameters)
    await using signer = await open(parameters)
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })

  test('and gets none is named in the error', async () => {
    shim.set('C_Initialize.parameters', parameters)
    await expect(open()).rejects.toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringContaining('the module may need "libraryParameters"'),
    })
  })

  test('is not used in this process with other parameters', async () => {
    const key = { label: 'prime256v1' }
    await using first = await pkcs11Signer({ ...on(token, shim.module), key, isolate: false })
    expect(first.alg).toBe('ES256')
    const second = pkcs11Signer({
      ...on(token, shim.module),
      key,
      isolate: false,
      libraryParameters: parameters,
    })
    await expect(second).rejects.toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringContaining(
        'already runs in this process with other "libraryParameters"',
      ),
    })
  })
})
