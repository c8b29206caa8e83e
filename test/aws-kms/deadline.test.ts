import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type AwsKms, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { until } from '../support/until.js'
import { clientOf, input, open, refusal } from './fixtures.ts'

let kms: AwsKms
let key: KmsKey

beforeAll(async () => {
  kms = await startAwsKms()
  key = kms.createKey('P-256')
})

afterEach(() => kms.forget())

afterAll(() => kms.close())

/** Whatever an abort can have as its reason comes out as it is. */
const reasons = [new Error('the user left'), 'a string', undefined, { code: 42 }]

describe('a KMS that hangs', () => {
  test('fails a signature at the deadline, and the next one is not held up', async () => {
    const signer = await open(kms, key, { timeoutSeconds: 2 })
    kms.forget()
    kms.fail('hang', { times: 1 })
    const started = performance.now()
    expect(await refusal(signer.sign(input))).toMatchObject({
      code: 'ERR_SIGNER_TIMEOUT',
      retryable: true,
      message:
        'aws-kms did not sign within 2 s; raise "timeoutSeconds" if the key service needs longer',
    })
    const elapsed = performance.now() - started
    expect(elapsed).toBeGreaterThan(1900)
    expect(elapsed).toBeLessThan(6000)
    expect(kms.requests).toHaveLength(1)
    expect(await signer.sign(input)).toHaveLength(64)
  })

  test.each(['GetPublicKey', 'Sign'] as const)(
    'at %s fails the load at the deadline',
    async (operation) => {
      kms.fail('hang', { operation })
      expect(await refusal(open(kms, key, { timeoutSeconds: 0.3 }))).toMatchObject({
        code: 'ERR_SIGNER_TIMEOUT',
      })
    },
  )

  test.each(reasons)('lets an aborted signature go with the reason %s', async (reason) => {
    const signer = await open(kms, key)
    kms.forget()
    kms.fail('hang')
    const controller = new AbortController()
    const signing = signer.sign(input, { signal: controller.signal })
    await until(() => kms.requests.length === 1)
    controller.abort(reason)
    expect(await refusal(signing)).toBe(controller.signal.reason)
  })

  test.each(reasons)('lets an aborted load go with the reason %s', async (reason) => {
    kms.fail('hang')
    const controller = new AbortController()
    const opening = open(kms, key, { signal: controller.signal })
    await until(() => kms.requests.length === 1)
    controller.abort(reason)
    expect(await refusal(opening)).toBe(controller.signal.reason)
  })
})

describe('an abort', () => {
  test('before the call means that KMS is not asked', async () => {
    const signer = await open(kms, key)
    kms.forget()
    const signal = AbortSignal.abort('no')
    expect(await refusal(signer.sign(input, { signal }))).toBe('no')
    expect(await refusal(open(kms, key, { signal }))).toBe('no')
    expect(kms.requests).toEqual([])
  })

  test("ends the SDK's retries, too", async () => {
    const signer = await open(kms, key, { client: clientOf(kms, { maxAttempts: 10 }) })
    kms.forget()
    kms.fail('throttle')
    const controller = new AbortController()
    const signing = signer.sign(input, { signal: controller.signal })
    await until(() => kms.requests.length === 2)
    controller.abort('enough')
    expect(await refusal(signing)).toBe('enough')
    const { length } = kms.requests
    await sleep(1500)
    expect(kms.requests.length - length).toBeLessThanOrEqual(1)
  })

  test('closes the connection that the answer would come on', async () => {
    const signer = await open(kms, key)
    kms.forget()
    kms.fail('hang', { times: 1 })
    const controller = new AbortController()
    const signing = signer.sign(input, { signal: controller.signal })
    await until(() => kms.requests.length === 1)
    controller.abort('enough')
    await refusal(signing)
    await until(() => kms.requests[0]?.cut === true)
  })

  test('of a load does not bind the signatures that come after it', async () => {
    const controller = new AbortController()
    const signer = await open(kms, key, { signal: controller.signal })
    controller.abort()
    expect(await signer.sign(input)).toHaveLength(64)
  })
})

test("the deadline holds for the SDK's retries together, and what they failed with is what is said", async () => {
  const client = clientOf(kms, { maxAttempts: 100 })
  const signer = await open(kms, key, { client, timeoutSeconds: 2 })
  kms.forget()
  kms.fail('throttle')
  const started = performance.now()
  expect(await refusal(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_THROTTLED' })
  expect(performance.now() - started).toBeLessThan(6000)
})

test.each([0, -1, 601, Number.NaN, '10'])('a deadline of %s is a TypeError', async (value) => {
  const timeoutSeconds = value as number
  expect(await refusal(open(kms, key, { timeoutSeconds }))).toBeInstanceOf(TypeError)
})
