import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../support/until.js'
import { input, rejection } from './fixtures.ts'
import { type CloudService, services } from './services.ts'

/** An abort rejects with its reason itself, of any type. */
const reasons = [new Error('the user left'), 'a string', undefined, { code: 42 }]

const { 'AWS KMS': aws, 'Google Cloud KMS over gRPC': gcp, 'Azure Key Vault': azure } = services

describe.each([
  ['AWS KMS', aws],
  ['Google Cloud KMS', gcp],
  ['Azure Key Vault', azure],
] as const)('%s', (_name, start) => {
  let service: CloudService
  beforeAll(async () => {
    service = await start()
    await service.load({ timeoutSeconds: 60 })
  })
  afterEach(() => service.reset())
  afterAll(() => service.close())

  async function load() {
    const signer = await service.load()
    service.reset()
    return signer
  }

  describe('that does not answer', () => {
    test('fails a signature at the deadline, gives the call up, and does not delay the next one', async () => {
      const signer = await service.load({ timeoutSeconds: 1 })
      service.reset()
      service.fail('hang')
      const started = performance.now()
      expect(await rejection(signer.sign(input))).toMatchObject({
        code: 'ERR_SIGNER_TIMEOUT',
        retryable: true,
        message: expect.stringMatching(
          /^[\w-]+ did not sign within 1 s; raise "timeoutSeconds" if the key service needs longer$/,
        ),
      })
      const elapsed = performance.now() - started
      expect(elapsed).toBeGreaterThan(950)
      expect(elapsed).toBeLessThan(3000)
      expect(service.calls()).toEqual(['signature'])
      await until(service.isAborted)
      service.reset()
      expect(await signer.sign(input)).toHaveLength(64)
    })

    test.each(['key', 'signature'] as const)(
      'to the %s request fails the load at the deadline, and the call is given up',
      async (on) => {
        service.fail('hang', on)
        const started = performance.now()
        expect(await rejection(service.load({ timeoutSeconds: 0.5 }))).toMatchObject({
          code: 'ERR_SIGNER_TIMEOUT',
          retryable: true,
          message: expect.stringMatching(/^[\w-]+ did not (?:load the key|sign) within 0.5 s/),
        })
        expect(performance.now() - started).toBeLessThan(3000)
        expect(service.calls().at(-1)).toBe(on)
        await until(service.isAborted)
      },
    )

    test.each(reasons)('rejects an aborted signature with the reason %s', async (reason) => {
      const signer = await load()
      service.fail('hang')
      const controller = new AbortController()
      const signing = rejection(signer.sign(input, { signal: controller.signal }))
      await until(() => service.calls().length === 1)
      service.reset()
      const other = signer.sign(input)
      controller.abort(reason)
      expect(await signing).toBe(controller.signal.reason)
      expect(await other).toHaveLength(64)
    })

    test.each(
      reasons.flatMap((reason) => [['key', reason] as const, ['signature', reason] as const]),
    )(
      'to the %s request rejects an aborted load with the reason %s, and gives the call up',
      async (on, reason) => {
        service.fail('hang', on)
        const controller = new AbortController()
        const loading = rejection(service.load({ signal: controller.signal }))
        await until(() => service.calls().includes(on))
        controller.abort(reason)
        expect(await loading).toBe(controller.signal.reason)
        await until(service.isAborted)
      },
    )
  })

  describe('an abort', () => {
    test('before the call makes no request', async () => {
      const signer = await load()
      const reason = { why: 'no' }
      const signal = AbortSignal.abort(reason)
      expect(await rejection(signer.sign(input, { signal }))).toBe(reason)
      expect(await rejection(service.load({ signal }))).toBe(reason)
      await sleep(50)
      expect(service.calls()).toEqual([])
    })

    test('of a load does not affect later signatures', async () => {
      const controller = new AbortController()
      const signer = await service.load({ signal: controller.signal })
      controller.abort('too late')
      expect(await signer.sign(input)).toHaveLength(64)
    })
  })
})
