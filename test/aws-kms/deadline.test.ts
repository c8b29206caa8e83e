import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { input, rejection } from '../clouds/fixtures.ts'
import { type AwsKms, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { until } from '../support/until.js'
import { clientOf, open } from './fixtures.ts'

let kms: AwsKms
let key: KmsKey

beforeAll(async () => {
  kms = await startAwsKms()
  key = kms.createKey('P-256')
})

afterEach(() => kms.forget())

afterAll(() => kms.close())

// test/clouds/aborts.test.ts has the tests that all key services share.
describe('an abort', () => {
  test("ends the SDK's retries", async () => {
    const signer = await open(kms, key, { client: clientOf(kms, { maxAttempts: 10 }) })
    kms.forget()
    kms.fail('throttle')
    const controller = new AbortController()
    const signing = signer.sign(input, { signal: controller.signal })
    await until(() => kms.requests.length === 2)
    controller.abort('enough')
    expect(await rejection(signing)).toBe('enough')
    const { length } = kms.requests
    await sleep(1500)
    expect(kms.requests.length - length).toBeLessThanOrEqual(1)
  })

  test('closes the connection of the request', async () => {
    const signer = await open(kms, key)
    kms.forget()
    kms.fail('hang', { times: 1 })
    const controller = new AbortController()
    const signing = signer.sign(input, { signal: controller.signal })
    await until(() => kms.requests.length === 1)
    controller.abort('enough')
    await rejection(signing)
    await until(() => kms.requests[0]?.cut === true)
  })
})

test("the deadline includes the SDK's retries, and the error is that of the last attempt", async () => {
  const client = clientOf(kms, { maxAttempts: 100 })
  const signer = await open(kms, key, { client, timeoutSeconds: 2 })
  kms.forget()
  kms.fail('throttle')
  const started = performance.now()
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_THROTTLED' })
  expect(performance.now() - started).toBeLessThan(6000)
})

test.each([0, -1, 601, Number.NaN, '10'])('a deadline of %s is a TypeError', async (value) => {
  const timeoutSeconds = value as number
  expect(await rejection(open(kms, key, { timeoutSeconds }))).toBeInstanceOf(TypeError)
})
