import type { Signer } from '@countersign/core'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { input, rejection } from './fixtures.ts'
import { type CloudService, services } from './services.ts'

/** In seconds. The first and the second are too short for the retries of some SDKs. */
const deadlines = [0.4, 1, 3]

/** Loads a signer. On a busy machine a short deadline may pass before a working service has answered. */
async function load(service: CloudService, timeoutSeconds: number, attempts = 5): Promise<Signer> {
  try {
    return await service.load({ timeoutSeconds })
  } catch (error) {
    if (attempts === 1) throw error
    return load(service, timeoutSeconds, attempts - 1)
  }
}

/** The errors of loads and signatures, at each deadline, after a failure has begun. */
async function rejections(service: CloudService, beginFailure: () => unknown): Promise<unknown[]> {
  const signers: Signer[] = []
  // One after the other, so that a short deadline is not spent waiting for the others.
  for (const seconds of deadlines) signers.push(await load(service, seconds))
  await beginFailure()
  const attempts = [
    ...signers.map((signer) => signer.sign(input)),
    ...deadlines.map((timeoutSeconds) => service.load({ timeoutSeconds })),
  ]
  const outcomes = await Promise.allSettled(attempts)
  return outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : outcome))
}

const all = (code: string) =>
  [...deadlines, ...deadlines].map(() => expect.objectContaining({ code, retryable: true }))

describe.each(Object.entries(services))('%s', (_name, start) => {
  // Loading an SDK and creating its first client are slow.
  beforeAll(async () => {
    const first = await start()
    await first.load({ timeoutSeconds: 60 })
    await first.close()
  })

  async function open(): Promise<CloudService> {
    const service = await start()
    onTestFinished(() => service.close())
    return service
  }

  test('is ERR_SIGNER_UNAVAILABLE when it answers 503, with any deadline', async () => {
    const service = await open()
    const unavailable = () => service.fail('unavailable')
    expect(await rejections(service, unavailable)).toEqual(all('ERR_SIGNER_UNAVAILABLE'))
  })

  test('is ERR_SIGNER_UNAVAILABLE when it refuses connections, with any deadline', async () => {
    const service = await open()
    expect(await rejections(service, service.stop)).toEqual(all('ERR_SIGNER_UNAVAILABLE'))
  })

  test('is ERR_SIGNER_THROTTLED when it throttles, with any deadline', async () => {
    const service = await open()
    const throttled = () => service.fail('throttled')
    expect(await rejections(service, throttled)).toEqual(all('ERR_SIGNER_THROTTLED'))
  })

  test('takes no deadline that is not a number of seconds up to 600', async () => {
    const service = await open()
    for (const value of [0, -1, 601, Number.NaN, '10']) {
      const timeoutSeconds = value as number
      expect(await rejection(service.load({ timeoutSeconds }))).toBeInstanceOf(TypeError)
    }
  })

  test('signs with a deadline that is not a whole number of milliseconds', async () => {
    const service = await open()
    for (const timeoutSeconds of [5.0101, 20 / 3]) {
      expect(await (await service.load({ timeoutSeconds })).sign(input)).toHaveLength(64)
    }
  })

  test('is ERR_SIGNER_TIMEOUT at the deadline when it does not answer', async () => {
    const service = await open()
    expect(await rejections(service, () => service.fail('hang'))).toEqual(all('ERR_SIGNER_TIMEOUT'))
  })
})
