import { pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startAgent } from '../support/agent.js'
import { isAlive } from '../support/processes.js'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { until } from '../support/until.js'
import { input, isSignatureOf, modes, on } from './fixtures.ts'

let hsm: SoftHsm
let token: Token
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('crash')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  shim = createShim(hsm)
})

afterEach(() => shim.forget())

afterAll(() => hsm?.remove())

const options = () => ({ ...on(token, shim.module), key: { label: 'key' } })
const logins = () => shim.count('C_Login')

/** The process that the module runs in. */
const child = () => shim.calls().at(-1)?.pid ?? 0

describe("the module's process", () => {
  test.each(['SIGKILL', 'SIGSEGV', 'SIGABRT'] as const)(
    'ended by %s is there again for the next signature, with one login',
    async (signal) => {
      await using signer = await pkcs11Signer(options())
      const before = child()
      process.kill(before, signal)
      await until(() => !isAlive(before))
      shim.forget()
      const all = await Promise.all(Array.from({ length: 32 }, () => signer.sign(input)))
      for (const signature of all) expect(isSignatureOf(signer, signature)).toBe(true)
      expect(logins()).toBe(1)
      expect(child()).not.toBe(before)
    },
  )

  test('that is killed during 32 signatures is replaced, and all are made', async () => {
    await using signer = await pkcs11Signer(options())
    shim.forget()
    shim.set('C_Sign.crash-once')
    const all = await Promise.all(Array.from({ length: 32 }, () => signer.sign(input)))
    for (const signature of all) expect(isSignatureOf(signer, signature)).toBe(true)
    expect(logins()).toBe(1)
  })

  test('that crashes each time is reported, and affects nothing else', async () => {
    await using signer = await pkcs11Signer(options())
    shim.set('C_Sign.crash')
    for (const outcome of await Promise.allSettled([signer.sign(input), signer.sign(input)])) {
      expect(outcome).toMatchObject({
        reason: {
          code: 'ERR_SIGNER_UNAVAILABLE',
          retryable: true,
          message:
            'The subprocess of the PKCS#11 module ended (SIGSEGV); if this happens again, the module crashes',
        },
      })
    }
    shim.clear('C_Sign.crash')
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })

  test.each([
    'C_Initialize',
    'C_GetTokenInfo',
    'C_OpenSession',
    'C_Login',
    'C_FindObjects',
    'C_SignInit',
    'C_Sign',
  ])('that crashes in %s at load is reported as such', async (where) => {
    shim.set(`${where}.crash`)
    await expect(pkcs11Signer(options())).rejects.toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      message: expect.stringContaining('SIGSEGV'),
    })
  })

  test('ignores a Ctrl-C of the terminal, which is for its parent', async () => {
    await using signer = await pkcs11Signer(options())
    const before = child()
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(before, signal)
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
    expect(child()).toBe(before)
  })
})

describe.each(['exit', 'throw', 'SIGTERM', 'SIGKILL'] as const)(
  'a parent that ends by %s',
  (how) => {
    test.each(['nothing', 'C_Initialize', 'C_Login', 'C_FindObjects', 'C_SignInit', 'C_Sign'])(
      'leaves no orphan, with %s hanging',
      async (where) => {
        if (where !== 'nothing') shim.set(`${where}.hang`)
        const agent = startAgent('end', options())
        expect(await agent.hear()).toBe('started')
        const last = where === 'nothing' ? 'C_Sign' : where
        await until(() => shim.count(last) > 0)
        const orphan = child()
        expect(isAlive(orphan)).toBe(true)
        if (how === 'exit' || how === 'throw') agent.tell(how)
        else agent.signal(how)
        await agent.ended
        await until(() => !isAlive(orphan))
      },
    )
  },
)

test.each(modes)('an open signer keeps no process alive $where', async ({ isolate }) => {
  const agent = startAgent('once', { ...options(), isolate })
  expect(await agent.hear()).toBe(64)
  const before = performance.now()
  expect(await agent.ended).toEqual({ code: 0, signal: null, errors: '' })
  expect(performance.now() - before).toBeLessThan(1000)
  await until(() => !isAlive(child()))
})
