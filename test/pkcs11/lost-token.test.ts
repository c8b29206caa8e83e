import { generateKeyPairSync } from 'node:crypto'
import type { ClosableSigner } from '@countersign/core'
import { type Pkcs11SignerOptions, pkcs11Signer } from '@countersign/pkcs11'
import { PKCS11 } from 'pkcs11js'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createP11KitServer, type P11KitServer } from '../support/p11-kit.js'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { input, isSignature, isSignatureOf, on } from './fixtures.ts'

const ec = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })

let hsm: SoftHsm
let token: Token
let server: P11KitServer
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('lost')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  server = createP11KitServer(hsm, token.label)
  await server.start()
  shim = createShim(hsm)
})

afterEach(() => shim.forget())

afterAll(async () => {
  await server?.end()
  hsm?.remove()
})

const logins = () => shim.count('C_Login')

async function signsOn(signer: ClosableSigner, times = 1): Promise<void> {
  const all = await Promise.all(Array.from({ length: times }, () => signer.sign(input)))
  for (const signature of all) expect(isSignatureOf(signer, signature)).toBe(true)
}

describe('in a separate process', () => {
  const open = (module: string, options: Partial<Pkcs11SignerOptions> = {}) =>
    pkcs11Signer({ ...on(token, module), key: { label: 'key' }, ...options })

  describe('a server that went away', () => {
    test('and came back causes at most one failed signature', async () => {
      await using signer = await open(server.module)
      for (let n = 0; n < 3; n++) {
        await server.end()
        await server.start()
        const outcomes = []
        for (let m = 0; m < 20; m++) {
          outcomes.push(...(await Promise.allSettled([signer.sign(input)])))
        }
        const failed = outcomes.filter(({ status }) => status === 'rejected')
        expect(failed.length).toBeLessThanOrEqual(1)
        await signsOn(signer, 32)
      }
    })

    test('is reported immediately at each call while it is away', async () => {
      await using signer = await open(server.module)
      await server.end()
      try {
        for (let n = 0; n < 3; n++) {
          const before = performance.now()
          for (const outcome of await Promise.allSettled(
            Array.from({ length: 16 }, () => signer.sign(input)),
          )) {
            expect(outcome).toMatchObject({
              reason: { code: 'ERR_SIGNER_UNAVAILABLE', retryable: true },
            })
          }
          expect(performance.now() - before).toBeLessThan(2000)
        }
      } finally {
        await server.start()
      }
      await signsOn(signer, 32)
    })
  })

  // Each is what a module answers when something of the signer's was lost, be it in one call only.
  test.each(
    [48, 50, 96, 130, 176, 179, 224, 257, 400].flatMap((value) => [
      ['C_SignInit', value] as const,
      ['C_Sign', value] as const,
    ]),
  )(
    '%s that returns %i once, under 32 signatures, fails none and costs one login at most',
    async (where, value) => {
      await using signer = await open(shim.module)
      shim.forget()
      shim.set(`${where}.rv-once`, value)
      await signsOn(signer, 32)
      expect(shim.isSet(`${where}.rv-once`)).toBe(false)
      expect(logins()).toBeLessThanOrEqual(1)
    },
  )

  test.each([5, 6, 0x80000001])(
    'a module that answers %i until it is started anew is, once',
    async (value) => {
      await using signer = await open(shim.module)
      shim.forget()
      shim.set('C_Sign.rv-until-init', value)
      await signsOn(signer, 32)
      expect(shim.count('C_Initialize')).toBe(1)
      expect(logins()).toBe(1)
    },
  )

  test('a module that keeps reporting an error is not restarted each time', async () => {
    await using signer = await open(shim.module)
    shim.forget()
    shim.set('C_Sign.rv', 5)
    for (let n = 0; n < 5; n++) {
      for (const outcome of await Promise.allSettled(
        Array.from({ length: 8 }, () => signer.sign(input)),
      )) {
        expect(outcome).toMatchObject({ reason: { code: 'ERR_SIGNER_UNAVAILABLE' } })
      }
    }
    expect(shim.count('C_Initialize')).toBe(1)
    shim.clear('C_Sign.rv')
    await signsOn(signer, 8)
  })

  test('a deleted key does not affect the signers of other keys', async () => {
    await token.generateKey({ type: 'EC:prime256v1', label: 'short-lived', id: '77' })
    await using signer = await open(shim.module)
    await using bad = await open(shim.module, { key: { label: 'short-lived' } })
    await token.deleteObject({ kind: 'privkey', id: '77' })
    shim.forget()
    for (let n = 0; n < 5; n++) {
      const outcomes = Promise.allSettled(Array.from({ length: 4 }, () => bad.sign(input)))
      await signsOn(signer, 16)
      for (const outcome of await outcomes) {
        expect(outcome).toMatchObject({ reason: { code: 'ERR_SIGNER_KEY_NOT_FOUND' } })
      }
    }
    expect(shim.count('C_Initialize')).toBe(1)
  })

  test.each(['logout', 'close-all', 'finalize'])(
    '%s behind our back, under 32 signatures, fails none and costs one login',
    async (what) => {
      await using signer = await open(shim.module)
      shim.forget()
      shim.set(`C_SignInit.${what}-once`)
      await signsOn(signer, 32)
      expect(shim.isSet(`C_SignInit.${what}-once`)).toBe(false)
      expect(logins()).toBe(1)
    },
  )

  test('a connection that is lost while a key is read does not make it another key', async () => {
    await using signer = await open(shim.module)
    for (const value of [48, 179, 257]) {
      for (const where of ['C_GetAttributeValue', 'C_FindObjectsInit', 'C_FindObjects']) {
        let wasHit = true
        for (let nth = 0; wasHit; nth++) {
          shim.set(`${where}.rv-at`, `${nth} ${value}`)
          await using second = await open(shim.module)
          expect(second.kid).toBe(signer.kid)
          wasHit = !shim.isSet(`${where}.rv-at`)
          if (nth === 0) expect(wasHit).toBe(true)
        }
        shim.forget()
      }
    }
    await signsOn(signer)
  }, 120_000)
})

describe('a token that was initialized again', () => {
  const first = ec()

  /** A token of its own, since it is deleted. */
  async function make(label: string, privateKey = first.privateKey): Promise<Token> {
    const made = await hsm.createToken(label)
    await made.importKey({ label: 'key', id: '01', privateKey })
    return made
  }

  test('with the same key signs again', async () => {
    const before = await make('again')
    let { pin } = before
    await using signer = await pkcs11Signer({
      ...on(before, hsm.module),
      key: { label: 'key' },
      pin: () => pin,
    })
    await hsm.deleteToken('again')
    pin = (await make('again')).pin
    await signer.sign(input).catch(() => {})
    const signature = await signer.sign(input)
    expect(isSignature('ES256', first.publicKey, signature)).toBe(true)
  })

  test.each([true, false])(
    'with another key under the name is refused by the signer, and taken by a new one (verify: %s)',
    async (verify) => {
      const label = `another ${verify}`
      const before = await make(label)
      let { pin } = before
      const open = () =>
        pkcs11Signer({ ...on(before, hsm.module), key: { label: 'key' }, pin: () => pin, verify })
      await using signer = await open()
      await hsm.deleteToken(label)
      const second = ec()
      pin = (await make(label, second.privateKey)).pin
      // Whichever finds out first, the old signer or a new one.
      if (!verify) await (await open()).close()
      for (let n = 0; n < 3; n++) {
        await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
      }
      await using renewed = await open()
      expect(renewed.kid).not.toBe(signer.kid)
      expect(isSignature('ES256', second.publicKey, await renewed.sign(input))).toBe(true)
      await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
      await signsOn(renewed)
    },
  )

  test('behind a server, with another key of the same name, is refused by the signer', async () => {
    const before = await make('served')
    let { pin } = before
    const own = createP11KitServer(hsm, 'served')
    await own.start()
    try {
      await using signer = await pkcs11Signer({
        ...on(before, own.module),
        key: { label: 'key' },
        pin: () => pin,
        verify: false,
      })
      await own.end()
      await hsm.deleteToken('served')
      pin = (await make('served', ec().privateKey)).pin
      await own.start()
      await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
      await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
    } finally {
      await own.end()
      Object.assign(process.env, server.env)
    }
  })

  test('without the key is reported as such', async () => {
    const before = await make('emptied')
    await using signer = await pkcs11Signer({ ...on(before, hsm.module), key: { label: 'key' } })
    await before.deleteObject({ kind: 'privkey', label: 'key' })
    await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_KEY_NOT_FOUND' })
    await before.importKey({ label: 'key', id: '01', privateKey: first.privateKey })
    await signsOn(signer)
  })
})

describe('in this process', () => {
  const open = (module = hsm.module) =>
    pkcs11Signer({ ...on(token, module), key: { label: 'key' }, isolate: false })

  const unrecovered = {
    message: expect.stringMatching(
      /; nothing is recovered with "isolate: false": make a new signer, or restart the process$/,
    ),
  }

  function somebodyElse(): PKCS11 {
    const native = new PKCS11()
    native.load(hsm.module)
    return native
  }

  function slotOf(native: PKCS11, label: string): Buffer {
    const slot = native
      .C_GetSlotList(true)
      .find((one) => native.C_GetTokenInfo(one).label.trim() === label)
    if (slot === undefined) throw new Error('no such token')
    return slot
  }

  test.each([48, 50, 96, 130, 176, 179, 224, 257, 400, 5])(
    'a module that returns %i is neither started again nor logged in to, and the error says so',
    async (value) => {
      await using signer = await open(shim.module)
      shim.forget()
      shim.set('C_SignInit.rv-once', value)
      await expect(signer.sign(input)).rejects.toMatchObject(unrecovered)
      expect(shim.count('C_Initialize')).toBe(0)
      expect(logins()).toBe(0)
    },
  )

  test('after a logout by another part of the process, a new signer logs in again', async () => {
    await using signer = await open()
    const native = somebodyElse()
    const session = native.C_OpenSession(slotOf(native, token.label), 4)
    native.C_Logout(session)
    native.C_CloseSession(session)
    await expect(signer.sign(input)).rejects.toMatchObject(unrecovered)
    await using renewed = await open()
    await signsOn(renewed, 32)
  })

  test('after all sessions were closed by another part of the process, a new signer opens its own', async () => {
    await using signer = await open()
    const native = somebodyElse()
    native.C_CloseAllSessions(slotOf(native, token.label))
    await expect(signer.sign(input)).rejects.toMatchObject(unrecovered)
    await using renewed = await open()
    await signsOn(renewed, 32)
  })

  test('a module that another part of the process has finalised is reported as such', async () => {
    await using signer = await open()
    somebodyElse().C_Finalize()
    await expect(signer.sign(input)).rejects.toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      ...unrecovered,
    })
    somebodyElse().C_Initialize({ flags: 2 })
  })
})
