import type { JwsAlgorithm, Signer } from '@countersign/core'
import { checkSigner } from '@countersign/testkit'
import { describe, expect, test, vi } from 'vitest'
import { frozen, handWritten, keyPair } from './hand-written.ts'

async function signaturesMade(alg: JwsAlgorithm, signatures?: number): Promise<number> {
  const good = handWritten(alg, keyPair(alg))
  const sign = vi.fn(good.sign)
  expect(await checkSigner(() => frozen({ ...good, sign }), { signatures })).toEqual([])
  return sign.mock.calls.length
}

describe('the number of signatures', () => {
  test('is what was asked for, and about 50 for the other checks', async () => {
    const one = await signaturesMade('ES256', 1)
    expect(one).toBeLessThan(60)
    expect(await signaturesMade('ES256', 11)).toBe(one + 10)
  })

  test('stays small where no number is ever short', async () => {
    expect(await signaturesMade('EdDSA')).toBe((await signaturesMade('EdDSA', 1)) + 127)
  })
})

describe('a signer that hangs in every call', () => {
  const hanging = () =>
    frozen({ ...handWritten('EdDSA', keyPair('EdDSA')), sign: () => new Promise<never>(() => {}) })

  test('is given up after one wait', async () => {
    const start = performance.now()
    const violations = await checkSigner(hanging, { timeoutSeconds: 0.2 })
    expect(violations).toEqual([{ check: 'signs', message: 'sign() did not settle within 0.2 s' }])
    expect(performance.now() - start).toBeLessThan(5000)
  })

  test('leaves no timer behind', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout')
    const before = timers().length
    await checkSigner(hanging, { timeoutSeconds: 0.05 })
    await checkSigner(() => new Promise<never>(() => {}), { timeoutSeconds: 0.05 })
    await checkSigner(() => frozen(handWritten('EdDSA', keyPair('EdDSA'))))
    expect(timers().length).toBeLessThanOrEqual(before)
  })
})

test('a failure that comes after it was given up is no unhandled rejection', async () => {
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  try {
    let fail = (_: Error) => {}
    const open = () =>
      new Promise<Signer>((_, reject) => {
        fail = reject
      })
    const violations = await checkSigner(open, { timeoutSeconds: 0.05 })
    expect(violations.map(({ check }) => check)).toEqual(['factory'])
    fail(new Error('too late'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).not.toHaveBeenCalled()
  } finally {
    process.off('unhandledRejection', unhandled)
  }
})

test('nothing is printed, whatever is found', async () => {
  const streams = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write'))
  const channels = (['log', 'info', 'warn', 'error'] as const).map((name) =>
    vi.spyOn(console, name),
  )
  try {
    expect(await checkSigner(() => Promise.reject(new Error('no key')))).toHaveLength(1)
    expect(await checkSigner(() => Object.freeze({}) as Signer)).toHaveLength(1)
    for (const spy of [...streams, ...channels]) expect(spy).not.toHaveBeenCalled()
  } finally {
    for (const spy of [...streams, ...channels]) spy.mockRestore()
  }
})

test.each([
  ['a factory that is none', undefined, {}, '"factory" must be a function'],
  ['no signatures', () => {}, { signatures: 0 }, '"signatures" must be a whole number above 0'],
  [
    'half a signature',
    () => {},
    { signatures: 0.5 },
    '"signatures" must be a whole number above 0',
  ],
  [
    'no time',
    () => {},
    { timeoutSeconds: 0 },
    '"timeoutSeconds" must be a number above 0 and up to 600',
  ],
])('misuse of the kit itself is a TypeError: %s', async (_, factory, options, message) => {
  await expect(checkSigner(factory as unknown as () => Signer, options)).rejects.toThrow(
    new TypeError(message),
  )
})
