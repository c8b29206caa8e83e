import { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Pkcs11SignerOptions, pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startAgent } from '../support/agent.js'
import { isAlive } from '../support/processes.js'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { until } from '../support/until.js'
import { input, isSignatureOf, modes, on } from './fixtures.ts'

const closed = { code: 'ERR_SIGNER_CONFIG', message: 'This signer was closed; make a new one' }

let hsm: SoftHsm
let token: Token
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('lifetime')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  await token.generateKey({ type: 'rsa:2048', label: 'other' })
  shim = createShim(hsm)
})

afterEach(() => shim.forget())

afterAll(() => hsm?.remove())

const pids = () => new Set(shim.calls().map(({ pid }) => pid))
const openSessions = () => shim.count('C_OpenSession') - shim.count('C_CloseSession')

describe.each(modes)('$where', ({ isolate }) => {
  const open = (options: Partial<Pkcs11SignerOptions> = {}) =>
    pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' }, isolate, ...options })

  test('signers on one token share its module, its login and its sessions', async () => {
    const signers = await Promise.all([
      open(),
      open(),
      open({ key: { label: 'other' } }),
      open({ key: { label: 'other' }, alg: 'PS384' }),
    ])
    for (const signer of signers) {
      const all = await Promise.all(Array.from({ length: 16 }, () => signer.sign(input)))
      for (const signature of all) expect(isSignatureOf(signer, signature)).toBe(true)
    }
    expect(pids().size).toBe(1)
    expect(shim.count('C_Login')).toBe(1)
    // Four to sign in, and one that keeps the login.
    expect(shim.count('C_OpenSession')).toBeLessThanOrEqual(5)
    for (const signer of signers) await signer.close()
  })

  test('so do those that name the token in another way, or have another function for its PIN', async () => {
    const refusal = await open({ token: { label: 'nowhere' } }).catch((error) => error)
    const [, serial, slot] =
      /label "lifetime", serial "(\w+)", slot (\d+)/.exec(refusal.message) ?? []
    shim.forget()
    const signers = await Promise.all([
      open({ pin: () => token.pin }),
      open({ pin: async () => token.pin }),
      open({ token: { serial } }),
      open({ token: { slot: Number(slot) }, pin: () => token.pin }),
    ])
    for (const signer of signers) {
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
    }
    expect(pids().size).toBe(1)
    expect(shim.count('C_Login')).toBe(1)
    expect(shim.count('C_OpenSession')).toBeLessThanOrEqual(5)
    const [first, ...others] = signers
    await first?.close()
    for (const signer of others) {
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
      await signer.close()
    }
  })

  test('a closed signer does not sign any more, and those that share its token do', async () => {
    const first = await open()
    const second = await open()
    await first.close()
    await expect(first.sign(input)).rejects.toMatchObject(closed)
    expect(isSignatureOf(second, await second.sign(input))).toBe(true)
    await first.close()
    await first[Symbol.asyncDispose]()
    expect(isSignatureOf(second, await second.sign(input))).toBe(true)
    await second[Symbol.asyncDispose]()
    await expect(second.sign(input)).rejects.toMatchObject(closed)
  })

  test('closing waits for running signatures', async () => {
    const signer = await open()
    shim.set('C_Sign.delay', 50)
    const under = Array.from({ length: 4 }, () => signer.sign(input))
    await until(() => shim.count('C_Sign') >= 5)
    await signer.close()
    for (const signature of await Promise.all(under)) {
      expect(isSignatureOf(signer, signature)).toBe(true)
    }
    await expect(signer.sign(input)).rejects.toMatchObject(closed)
  })

  test('after the last signer is closed, the next one logs in again', async () => {
    for (let n = 1; n <= 3; n++) {
      await using signer = await open()
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
      expect(shim.count('C_Login')).toBe(n)
    }
  })

  test('there are as many sessions as requested, and all are closed at the end', async () => {
    for (const sessions of [1, 3, 8]) {
      shim.forget()
      const signer = await open({ sessions })
      shim.set('C_Sign.delay', 5)
      await Promise.all(Array.from({ length: 32 }, () => signer.sign(input)))
      expect(openSessions()).toBe(sessions + 1)
      for (let n = 0; n < 4; n++) {
        shim.set('C_Sign.rv-once', 0x21)
        await Promise.allSettled(Array.from({ length: 32 }, () => signer.sign(input)))
        expect(openSessions()).toBeLessThanOrEqual(sessions + 1)
      }
      await signer.close()
      if (!isolate) expect(openSessions()).toBe(0)
    }
  })

  test('a failed load leaves no session and no process', async () => {
    await expect(open({ key: { label: 'nobody' } })).rejects.toThrow()
    await expect(open({ alg: 'RS256' })).rejects.toThrow()
    shim.set('C_Sign.garble')
    await expect(open()).rejects.toThrow()
    if (isolate) for (const pid of pids()) await until(() => !isAlive(pid))
    else expect(openSessions()).toBe(0)
  })

  test('callers get their signatures in the order in which they came', async () => {
    await using signer = await open({ sessions: 1 })
    shim.set('C_Sign.delay', 5)
    const order: number[] = []
    const callers = Array.from({ length: 24 }, async (_, n) => {
      await signer.sign(input)
      order.push(n)
    })
    await Promise.all(callers)
    expect(order).toEqual(Array.from({ length: 24 }, (_, n) => n))
  })

  test('a caller that aborts leaves the queue, and the token does not sign for it', async () => {
    await using signer = await open({ sessions: 1 })
    shim.set('C_Sign.delay', 20)
    shim.forget()
    shim.set('C_Sign.delay', 20)
    const controller = new AbortController()
    const reason = new Error('I have thought better of it')
    const staying = [signer.sign(input)]
    const leaving = Array.from({ length: 20 }, () =>
      signer.sign(input, { signal: controller.signal }),
    )
    staying.push(signer.sign(input))
    await until(() => shim.count('C_Sign') === 1)
    controller.abort(reason)
    for (const outcome of await Promise.allSettled(leaving)) {
      expect(outcome).toEqual({ status: 'rejected', reason })
    }
    for (const signature of await Promise.all(staying)) {
      expect(isSignatureOf(signer, signature)).toBe(true)
    }
    expect(shim.count('C_Sign')).toBeLessThanOrEqual(3)
  })

  test('a caller that aborted before the call causes no request to the token', async () => {
    await using signer = await open()
    shim.forget()
    const reason = { any: 'thing' }
    await expect(signer.sign(input, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(shim.calls()).toEqual([])
  })
})

test('a polluted prototype switches nothing on or off', async () => {
  const polluted = { verify: false, isolate: false, allowFinalPinTry: true, serial: 'another' }
  Object.assign(Object.prototype, polluted)
  try {
    await using signer = await pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' } })
    expect([...pids()]).not.toContain(process.pid)
    shim.set('C_Sign.garble')
    await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
  } finally {
    for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name)
  }
})

test.each(modes)('a slow token signs in all sessions at once $where', async ({ isolate }) => {
  await using signer = await pkcs11Signer({
    ...on(token, shim.module),
    key: { label: 'key' },
    isolate,
    sessions: 3,
  })
  shim.forget()
  shim.set('C_Sign.hang')
  const all = Array.from({ length: 8 }, () => signer.sign(input))
  await until(() => shim.count('C_Sign') === 3)
  await sleep(50)
  expect(shim.count('C_Sign')).toBe(3)
  shim.clear('C_Sign.hang')
  for (const signature of await Promise.all(all)) {
    expect(isSignatureOf(signer, signature)).toBe(true)
  }
})

test('closing ends the process of the module', async () => {
  const signer = await pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' } })
  const [pid = 0] = pids()
  expect(isAlive(pid)).toBe(true)
  await signer.close()
  await until(() => !isAlive(pid))
})

test('closing ends the process of a module that hangs, within little more than a second', async () => {
  const signer = await pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' } })
  const [pid = 0] = pids()
  shim.set('C_SignInit.hang')
  const hanging = signer.sign(input)
  hanging.catch(() => {})
  await sleep(50)
  const before = performance.now()
  await signer.close()
  expect(performance.now() - before).toBeLessThan(1500)
  await expect(hanging).rejects.toMatchObject(closed)
  await until(() => !isAlive(pid))
})

test('closing while the token is opened again leaves no process', async () => {
  const signer = await pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' } })
  const [pid = 0] = pids()
  process.kill(pid, 'SIGKILL')
  await until(() => !isAlive(pid))
  shim.set('C_Initialize.hang')
  const signing = signer.sign(input)
  signing.catch(() => {})
  await until(() => pids().size === 2)
  const before = performance.now()
  await signer.close()
  expect(performance.now() - before).toBeLessThan(1000)
  await expect(signing).rejects.toMatchObject(closed)
  for (const each of pids()) await until(() => !isAlive(each))
})

test('a runtime whose channel has no ref and unref, as Bun, loads, signs and closes', async () => {
  Object.defineProperty(ChildProcess.prototype, 'channel', {
    configurable: true,
    set(channel: object) {
      const value = Object.assign(channel, { ref: undefined, unref: undefined })
      Object.defineProperty(this, 'channel', { value, writable: true })
    },
  })
  try {
    const signer = await pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' } })
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
    await signer.close()
    for (const pid of pids()) await until(() => !isAlive(pid))
  } finally {
    Reflect.deleteProperty(ChildProcess.prototype, 'channel')
  }
})

test('what the module prints is discarded', async () => {
  shim.set('C_Initialize.prints')
  const agent = startAgent('once', { ...on(token, shim.module), key: { label: 'key' } })
  expect(await agent.hear()).toBe(64)
  expect(await agent.ended).toEqual({ code: 0, signal: null, errors: '' })
})

test('the error says when the process has no file descriptor left to start another one', async () => {
  const agent = startAgent('starve', { ...on(token, shim.module), key: { label: 'key' } }, 128)
  expect(await agent.hear()).toEqual({
    code: 'ERR_SIGNER_UNAVAILABLE',
    message: expect.stringContaining('EMFILE'),
  })
  expect(await agent.hear()).toBe(64)
  expect(await agent.ended).toMatchObject({ code: 0, errors: '' })
})
