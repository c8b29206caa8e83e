import { fork } from 'node:child_process'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { type Pkcs11SignerOptions, pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startAgent } from '../support/agent.js'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { until } from '../support/until.js'
import { input, modes, on } from './fixtures.ts'

const wrong = 'canary-of-a-wrong-pin'

let hsm: SoftHsm
let token: Token
let spoilt: Token
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('secrets')
  spoilt = await hsm.createToken('spoilt')
  for (const each of [token, spoilt]) {
    await each.generateKey({ type: 'EC:prime256v1', label: 'key' })
  }
  shim = createShim(hsm)
})

afterEach(() => shim.forget())

afterAll(() => hsm?.remove())

const child = () => shim.calls().at(-1)?.pid ?? 0

/** All that a person or a log may get to see of a value. */
function shown(value: unknown): string {
  const { stack, message, cause } = (value ?? {}) as Error
  const parts = [String(value), stack, message, inspect(value, { depth: 20, showHidden: true })]
  return [...parts, JSON.stringify(value), cause === undefined ? '' : shown(cause)].join('\n')
}

function expectNoPin(text: string): void {
  expect(text).not.toContain(token.pin)
  expect(text).not.toContain(spoilt.pin)
  expect(text).not.toContain(wrong)
}

describe.each(modes)('$where, the PIN is not', ({ isolate }) => {
  const open = (options: Partial<Pkcs11SignerOptions> = {}) =>
    pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' }, isolate, ...options })

  test('in the members of a signer', async () => {
    await using signer = await open()
    expectNoPin(shown(signer))
  })

  test('in any error', async () => {
    const errors: unknown[] = []
    const keep = (error: unknown) => errors.push(error)
    const spoiltOptions = { ...on(spoilt, shim.module), isolate, key: { label: 'key' } }
    for (const options of [
      { pin: `${wrong}-${isolate}` },
      { pin: `${wrong}-${isolate}` },
      { pin: () => `${wrong}-${isolate}` },
    ]) {
      await pkcs11Signer({ ...spoiltOptions, ...options }).catch(keep)
    }
    for (const options of [
      { key: { label: 'nobody' } },
      { token: { label: 'nowhere' } },
      { module: '/nonexistent.so' },
      { alg: 'RS256' },
      { sessions: 0 },
      { publicKey: 'nonsense' },
    ] as Partial<Pkcs11SignerOptions>[]) {
      await open(options).catch(keep)
    }
    shim.set('C_GetTokenInfo.flags', 0x20000)
    await open().catch(keep)
    shim.clear('C_GetTokenInfo.flags')
    for (const value of [5, 7, 48, 161, 162, 163, 164, 258, 0x80000001]) {
      shim.set('C_Login.rv-once', value)
      await pkcs11Signer({ ...spoiltOptions, pin: `${wrong}-${value}-${isolate}` }).catch(keep)
      // Without it, no further PIN would be tried.
      await (await pkcs11Signer(spoiltOptions)).close()
    }
    await using signer = await open()
    for (const value of [5, 48, 112, 257, 336]) {
      shim.set('C_Sign.rv', value)
      await signer.sign(input).catch(keep)
      shim.clear('C_Sign.rv')
    }
    expect(errors.length).toBeGreaterThan(20)
    for (const error of errors) {
      expect(error).toBeInstanceOf(Error)
      expectNoPin(shown(error))
    }
  })

  test('in a diagnostics message', async () => {
    const messages: unknown[] = []
    const subscriber = (message: unknown) => void messages.push(message)
    diagnostics.subscribe('countersign:sign', subscriber)
    try {
      await using signer = await open()
      await signer.sign(input)
      shim.set('C_Sign.rv', 112)
      await signer.sign(input).catch(() => {})
    } finally {
      diagnostics.unsubscribe('countersign:sign', subscriber)
    }
    expect(messages.length).toBeGreaterThanOrEqual(3)
    expectNoPin(shown(messages))
  })

  test('on a command line, in an environment or in a report', async () => {
    const options = { ...on(token, shim.module), key: { label: 'key' }, isolate }
    const agent = startAgent('report', options)
    const report = await agent.hear()
    expect(report).toHaveProperty('environmentVariables')
    expectNoPin(JSON.stringify(report))
    for (const pid of [agent.pid, child()]) {
      for (const file of ['cmdline', 'environ']) {
        const text = readFileSync(`/proc/${pid}/${file}`, 'utf8')
        expect(text).not.toBe('')
        expectNoPin(text)
      }
    }
    expect(child() === agent.pid).toBe(!isolate)
    agent.tell('end')
    await agent.ended
  })
})

test("the PIN is not in a report of the module's process", async () => {
  const program = new URL('../../packages/pkcs11/dist/child.js', import.meta.url)
  const running = fork(program, [], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: ['--report-on-signal', `--report-dir=${hsm.folder}`, '--report-filename=report.json'],
  })
  const location = { module: shim.module, token: { label: token.label }, sessions: 1, env: [] }
  const login = { pin: token.pin, allowFinalTry: false, cautious: false }
  for (const request of [
    { id: 1, op: 'identify', location, token: location.token },
    { id: 2, op: 'open', login },
  ]) {
    running.send([request])
    const [[answer]] = await once(running, 'message')
    expect(answer).toHaveProperty('id', request.id)
    expect(answer).not.toHaveProperty('error')
  }
  running.kill('SIGUSR2')
  const file = `${hsm.folder}/report.json`
  await until(() => existsSync(file) && readFileSync(file, 'utf8').trimEnd().endsWith('}'))
  expectNoPin(readFileSync(file, 'utf8'))
  running.kill('SIGKILL')
})
