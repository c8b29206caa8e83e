import { setTimeout as sleep } from 'node:timers/promises'
import { pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startAgent } from '../support/agent.js'
import { createP11KitServer, type P11KitServer } from '../support/p11-kit.js'
import { isAlive } from '../support/processes.js'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { until } from '../support/until.js'
import { input, isSignatureOf, on } from './fixtures.ts'

let hsm: SoftHsm
let token: Token
let server: P11KitServer
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('hang')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  server = createP11KitServer(hsm, token.label)
  await server.start()
  shim = createShim(hsm, server.module)
})

afterEach(() => {
  server.thaw()
  shim.forget()
})

afterAll(async () => {
  await server?.end()
  hsm?.remove()
})

const options = () => ({ ...on(token, shim.module), key: { label: 'key' } })
const logins = () => shim.count('C_Login')

describe('with 8 signatures in flight on a token that hangs', () => {
  test('files are read, timers are on time, each caller has its own deadline, and the process can exit', async () => {
    const agent = startAgent('hang', options())
    expect(await agent.hear()).toBe('open')
    server.freeze()
    agent.tell('go')
    const { outcomes, windows } = await agent.hear()
    // The best of five, since the machine may be busy with something else; the hang lasts through all of them.
    const best = (name: string) => Math.min(...windows.map((one: never) => one[name]))
    expect(best('slowestRead')).toBeLessThan(50)
    expect(best('delay')).toBeLessThan(5)
    const expected = [
      ...Array.from({ length: 3 }, () => ['ERR_SIGNER_TIMEOUT', 1000]),
      ...Array.from({ length: 3 }, () => ['ERR_SIGNER_TIMEOUT', 2000]),
      ['reason 300', 300],
      ['reason 600', 600],
    ] as const
    for (const [n, [outcome, milliseconds]] of expected.entries()) {
      expect(outcomes[n].outcome).toBe(outcome)
      expect(outcomes[n].milliseconds).toBeGreaterThanOrEqual(Number(milliseconds) - 5)
      expect(outcomes[n].milliseconds).toBeLessThan(Number(milliseconds) + 300)
    }
    const before = performance.now()
    agent.tell('exit')
    expect(await agent.ended).toEqual({ code: 0, signal: null, errors: '' })
    expect(performance.now() - before).toBeLessThan(1000)
  })

  test('callers that aborted keep no process alive', async () => {
    const agent = startAgent('leave', options())
    expect(await agent.hear()).toBe('open')
    server.freeze()
    agent.tell('go')
    expect(await agent.hear()).toEqual(Array(8).fill('TimeoutError'))
    const before = performance.now()
    expect(await agent.ended).toMatchObject({ code: 0, errors: '' })
    expect(performance.now() - before).toBeLessThan(1000)
  })
})

describe('a token that recovers', () => {
  test('within the deadline makes all pending signatures, in the same process, without a login', async () => {
    await using signer = await pkcs11Signer(options())
    expect(logins()).toBe(1)
    server.freeze()
    const waiting = Array.from({ length: 8 }, () => signer.sign(input))
    await sleep(300)
    server.thaw()
    for (const signature of await Promise.all(waiting)) {
      expect(isSignatureOf(signer, signature)).toBe(true)
    }
    expect(logins()).toBe(1)
  })

  test('after the deadline signs again, with one login', async () => {
    await using signer = await pkcs11Signer({ ...options(), timeoutSeconds: 1 })
    server.freeze()
    const late = await Promise.allSettled(Array.from({ length: 8 }, () => signer.sign(input)))
    for (const outcome of late) {
      expect(outcome).toMatchObject({ reason: { code: 'ERR_SIGNER_TIMEOUT' } })
    }
    await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    shim.forget()
    server.thaw()
    expect(await firstSignature(signer)).toBe(true)
    expect(logins()).toBeLessThanOrEqual(1)
  })

  test('is not restarted while another call may still succeed', async () => {
    await using patient = await pkcs11Signer({ ...options(), timeoutSeconds: 5 })
    await using quick = await pkcs11Signer({ ...options(), timeoutSeconds: 0.3 })
    server.freeze()
    const waiting = patient.sign(input)
    await expect(quick.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    await sleep(300)
    shim.forget()
    server.thaw()
    expect(isSignatureOf(patient, await waiting)).toBe(true)
    expect(shim.count('C_Initialize')).toBe(0)
  })
})

describe('a module that hangs forever', () => {
  test.each([
    'C_Initialize',
    'C_GetTokenInfo',
    'C_OpenSession',
    'C_Login',
    'C_FindObjects',
    'C_SignInit',
    'C_Sign',
  ])('in %s ends the load at its deadline, and the next load works', async (where) => {
    shim.set(`${where}.hang`)
    const before = performance.now()
    const opening = pkcs11Signer({ ...options(), timeoutSeconds: 1 })
    await expect(opening).rejects.toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    expect(performance.now() - before).toBeLessThan(3000)
    shim.clear(`${where}.hang`)
    await using signer = await pkcs11Signer(options())
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })

  test.each(['C_SignInit', 'C_Sign'])('in %s is restarted after the deadline', async (where) => {
    await using signer = await pkcs11Signer({ ...options(), timeoutSeconds: 1 })
    const child = shim.calls().at(-1)?.pid ?? Number.NaN
    shim.set(`${where}.hang`)
    const late = await Promise.allSettled(Array.from({ length: 8 }, () => signer.sign(input)))
    for (const outcome of late) {
      expect(outcome).toMatchObject({ reason: { code: 'ERR_SIGNER_TIMEOUT' } })
    }
    // Its end may come a moment after the callers' deadline; a module that answers just then is none that hangs.
    await until(() => !isAlive(child))
    shim.forget()
    expect(await firstSignature(signer)).toBe(true)
    expect(logins()).toBe(1)
  })
})

describe('an abort of the load', () => {
  const reason = { why: 'the caller changed its mind' }

  test.each(['C_Initialize', 'C_Login', 'C_Sign'])(
    'rejects with its reason while the module hangs in %s, and ends the subprocess',
    async (where) => {
      shim.set(`${where}.hang`)
      const controller = new AbortController()
      const opening = pkcs11Signer({ ...options(), signal: controller.signal })
      opening.catch(() => {})
      await until(() => shim.count(where) > 0)
      const child = shim.calls().at(-1)?.pid ?? Number.NaN
      controller.abort(reason)
      const before = performance.now()
      await expect(opening).rejects.toBe(reason)
      expect(performance.now() - before).toBeLessThan(500)
      await until(() => !isAlive(child))
    },
  )

  test('before it starts opens nothing', async () => {
    const opening = pkcs11Signer({ ...options(), signal: AbortSignal.abort(reason) })
    await expect(opening).rejects.toBe(reason)
    expect(shim.calls()).toEqual([])
  })

  test('does not affect later signatures, or the signers that share the token', async () => {
    const controller = new AbortController()
    await using other = await pkcs11Signer(options())
    await using signer = await pkcs11Signer({ ...options(), signal: controller.signal })
    controller.abort(reason)
    for (const each of [signer, other]) {
      expect(isSignatureOf(each, await each.sign(input))).toBe(true)
    }
  })
})

/** The first signature that succeeds: after its end, the subprocess needs a moment to start again. */
async function firstSignature(signer: Awaited<ReturnType<typeof pkcs11Signer>>): Promise<boolean> {
  const deadline = performance.now() + 5000
  for (;;) {
    try {
      return isSignatureOf(signer, await signer.sign(input))
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
  }
}
