import { mkdtempSync, watch } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Pkcs11SignerOptions, pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createP11KitServer } from '../support/p11-kit.js'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { input, isSignatureOf, modes, on } from './fixtures.ts'

const wrong = 'not-the-pin-of-any-token'
const denied = { code: 'ERR_SIGNER_ACCESS_DENIED' }

let hsm: SoftHsm
let shim: Shim
// What is refused at a token stays refused in this process, so each test gets its own.
const tokens: Token[] = []
let taken = 0
/** For tests in which no PIN is refused. */
let common: Token

beforeAll(async () => {
  hsm = createSoftHsm()
  for (let n = 0; n < 24; n++) {
    const token = await hsm.createToken(`token ${n}`)
    await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
    tokens.push(token)
  }
  common = aToken()
  shim = createShim(hsm)
}, 60_000)

afterEach(() => shim.forget())

afterAll(() => hsm?.remove())

function aToken(): Token {
  const token = tokens[taken++]
  if (token === undefined) throw new Error('more tokens are needed')
  return token
}

/** Right for the first login, then wrong in a different way each time. */
function changing(token: Token): () => string {
  let asked = 0
  return () => (asked++ === 0 ? token.pin : `${wrong}-${asked}`)
}

const logins = () => shim.calls().filter(({ name, detail }) => name === 'C_Login' && detail === 1)

describe.each(modes)('$where', ({ isolate }) => {
  const open = (token: Token, options: Partial<Pkcs11SignerOptions> = {}) =>
    pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' }, isolate, ...options })

  describe('a wrong PIN', () => {
    test('is tried once by 16 callers with two ways to name the token, and never again', async () => {
      const token = aToken()
      const told = await open(token, { token: { label: 'none' } }).catch((error) => error)
      const serial = new RegExp(`"${token.label}", serial "(\\w+)"`).exec(told.message)?.[1]
      const selectors = [{ label: token.label }, { serial }]
      const callers = Array.from({ length: 16 }, (_, n) => {
        const selector = selectors[n % 2] ?? {}
        const pin = n % 4 < 2 ? wrong : async () => wrong
        return open(token, { token: selector, pin, sessions: 1 + (n % 3) })
      })
      for (const outcome of await Promise.allSettled(callers)) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: denied })
      }
      for (const selector of selectors) {
        await expect(open(token, { token: selector, pin: wrong })).rejects.toMatchObject(denied)
      }
      expect(logins()).toHaveLength(1)
      expect(await token.flags()).toContain('user PIN count low')
    })

    test('does not block the right one', async () => {
      const token = aToken()
      await expect(open(token, { pin: wrong })).rejects.toMatchObject({
        ...denied,
        message:
          'Logging in failed with CKR_PIN_INCORRECT: the PIN is wrong; it will not be tried again',
      })
      await using signer = await open(token)
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
      expect(await token.flags()).not.toContain('user PIN count low')
    })

    test('is requested from its function again, and not tried again', async () => {
      const token = aToken()
      const answers = [wrong, wrong, token.pin]
      const asked = async () => answers.shift() ?? ''
      await expect(open(token, { pin: asked })).rejects.toMatchObject(denied)
      await expect(open(token, { pin: asked })).rejects.toMatchObject({
        ...denied,
        message: expect.stringContaining('refused this PIN before, so it was not tried again'),
      })
      await using signer = await open(token, { pin: asked })
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
      expect(logins()).toHaveLength(2)
    })
  })

  describe('a PIN function that returns another wrong PIN each time', () => {
    test('costs two login attempts, regardless of the number of signers', async () => {
      const token = aToken()
      const pin = changing(token)
      await (await open(token, { pin })).close()
      shim.forget()
      const together = Array.from({ length: 8 }, () => open(token, { pin: () => pin() }))
      for (const outcome of await Promise.allSettled(together)) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: denied })
      }
      await expect(open(token, { pin })).rejects.toMatchObject({
        ...denied,
        message: expect.stringMatching(/^The token refused 2 PINs in a row, so .* restart/),
      })
      expect(logins()).toHaveLength(2)
      expect(await token.flags()).not.toContain('locked')
    })
  })

  test('a login writes no file that another user could put in its way', async () => {
    const token = aToken()
    const folder = mkdtempSync(join(hsm.folder, 'tmp-'))
    const before = process.env['TMPDIR']
    const events: unknown[] = []
    const watcher = watch(folder, (_, name) => events.push(name))
    process.env['TMPDIR'] = folder
    try {
      await (await open(token)).close()
      await expect(open(token, { pin: wrong })).rejects.toMatchObject(denied)
      await sleep(50)
    } finally {
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
      watcher.close()
    }
    expect(events).toEqual([])
  })

  describe('a token that says of its PIN', () => {
    test('that one more wrong PIN locks it gets none, unless the caller permits it', async () => {
      shim.set('C_GetTokenInfo.flags', 0x20000)
      await expect(open(common)).rejects.toMatchObject({
        ...denied,
        message: expect.stringContaining('one more wrong PIN locks it, so no PIN was tried'),
      })
      expect(logins()).toHaveLength(0)
      await using signer = await open(common, { allowFinalPinTry: true })
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
    })

    test('that it is locked gets none, even if the caller permits it', async () => {
      shim.set('C_GetTokenInfo.flags', 0x60000)
      for (const allowFinalPinTry of [false, true]) {
        await expect(open(common, { allowFinalPinTry })).rejects.toMatchObject({
          ...denied,
          message: expect.stringContaining('its PIN is locked'),
        })
      }
      expect(logins()).toHaveLength(0)
    })

    test('that a wrong one was given, by an unknown program, gets it', async () => {
      shim.set('C_GetTokenInfo.flags', 0x10000)
      await using signer = await open(common)
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
    })
  })

  test.each([
    ['a function', (pin: string) => () => pin],
    ['a function that returns a promise', (pin: string) => async () => pin],
  ])('%s is asked once for a login that signers share', async (_, make) => {
    let asked = 0
    const given = make(common.pin)
    const pin = () => {
      asked++
      return given()
    }
    await using first = await open(common, { pin })
    await using second = await open(common, { pin })
    expect(isSignatureOf(first, await second.sign(input))).toBe(true)
    expect(asked).toBe(1)
    expect(logins()).toHaveLength(1)
  })

  test('without a PIN, a token that requires one is refused', async () => {
    await expect(open(common, { pin: undefined })).rejects.toMatchObject({
      ...denied,
      message: expect.stringMatching(/^The token "token \d+" requires a login; give its "pin"$/),
    })
  })

  test('a function that returns no string is a TypeError', async () => {
    for (const pin of [() => 1234, async () => undefined] as unknown as (() => string)[]) {
      await expect(open(common, { pin })).rejects.toThrow(new TypeError('the PIN must be a string'))
    }
    expect(logins()).toHaveLength(0)
  })

  test('the error of a function that throws is passed on unchanged', async () => {
    const error = new Error('the vault is closed')
    const pin = () => Promise.reject(error)
    await expect(open(common, { pin })).rejects.toBe(error)
  })
})

describe('recovery', () => {
  const open = (token: Token, options: Partial<Pkcs11SignerOptions> = {}) =>
    pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' }, ...options })

  describe('with a PIN function that returns another wrong PIN each time', () => {
    test('costs one login attempt of recovery, whatever the module loses', async () => {
      const token = aToken()
      await using signer = await open(token, { pin: changing(token) })
      shim.forget()
      for (const value of [48, 257, 179, 400, 48]) {
        shim.set('C_SignInit.rv-once', value)
        const attempts = Array.from({ length: 8 }, () => signer.sign(input))
        for (const outcome of await Promise.allSettled(attempts)) {
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(denied)
        }
        await expect(signer.sign(input)).rejects.toMatchObject({
          ...denied,
          message:
            'The token refused the PIN of this signer, so no other PIN is tried for it; make a new signer with the right one',
        })
      }
      expect(logins()).toHaveLength(1)
    })

    test('does not affect a signer that the caller makes with the right PIN', async () => {
      const token = aToken()
      const pin = changing(token)
      const lost = await open(token, { pin })
      shim.set('C_SignInit.rv-once', 48)
      await expect(lost.sign(input)).rejects.toMatchObject(denied)
      let right = token.pin
      const signer = await open(token, { pin: () => right })
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
      await Promise.all([lost.close(), signer.close()])
      // A login that succeeds ends the row.
      for (const other of [`${wrong}-a`, `${wrong}-b`]) {
        await expect(open(token, { pin: other })).rejects.toMatchObject({
          ...denied,
          message: expect.stringContaining('CKR_PIN_INCORRECT'),
        })
      }
      right = `${wrong}-c`
      await expect(open(token, { pin: () => right })).rejects.toMatchObject({
        ...denied,
        message: expect.stringContaining('2 PINs in a row'),
      })
    })
  })

  describe('a PIN that was changed while the token was open', () => {
    const changed = 'changed'
    const change = (token: Token) => token.tool(['--change-pin', '--new-pin', changed])

    test('causes one login with the old PIN, and no other one', async () => {
      const token = aToken()
      await using signer = await open(token)
      await using other = await open(token, { sessions: 2 })
      await change(token)
      shim.forget()
      for (const each of [signer, other, signer]) {
        shim.set('C_SignInit.rv-once', 48)
        const attempts = Array.from({ length: 8 }, () => each.sign(input))
        for (const outcome of await Promise.allSettled(attempts)) {
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(denied)
        }
        await expect(each.sign(input)).rejects.toMatchObject(denied)
      }
      await expect(open(token)).rejects.toMatchObject(denied)
      expect(logins()).toHaveLength(1)
    })

    test('is requested again when it is a function, and signatures continue', async () => {
      const token = aToken()
      let pin = token.pin
      await using signer = await open(token, { pin: () => pin })
      await change(token)
      pin = changed
      for (let n = 0; n < 2; n++) {
        shim.forget()
        shim.set('C_SignInit.rv-once', 48)
        expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
        expect(logins()).toHaveLength(1)
      }
    })
  })
})

test('a wrong PIN is not tried again by another way to the same token', async () => {
  const token = aToken()
  const server = createP11KitServer(hsm, token.label)
  await server.start()
  try {
    for (const module of [shim.module, hsm.module, server.module]) {
      for (const isolate of [true, false]) {
        const options = { ...on(token, module), pin: wrong, key: { label: 'key' }, isolate }
        await expect(pkcs11Signer(options)).rejects.toMatchObject(denied)
      }
    }
    expect(logins()).toHaveLength(1)
    await using signer = await pkcs11Signer({ ...on(token, server.module), key: { label: 'key' } })
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  } finally {
    await server.end()
  }
})

describe('a login whose outcome is unknown', () => {
  const open = (token: Token) =>
    pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' }, timeoutSeconds: 1 })

  test('is not repeated where the token reports a wrong PIN', async () => {
    const token = aToken()
    shim.set('C_Login.crash-once')
    await expect(open(token)).rejects.toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE' })
    shim.set('C_GetTokenInfo.flags', 0x10000)
    await expect(open(token)).rejects.toMatchObject({
      ...denied,
      message: expect.stringContaining('which may have been this one'),
    })
    expect(logins()).toHaveLength(1)
  })

  test('is repeated where the token does not report one', async () => {
    const token = aToken()
    shim.set('C_Login.crash-once')
    await expect(open(token)).rejects.toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      message: expect.stringContaining('SIGSEGV'),
    })
    await using signer = await open(token)
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })
})
