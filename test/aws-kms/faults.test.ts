import { setTimeout as sleep } from 'node:timers/promises'
import { GetPublicKeyCommand } from '@aws-sdk/client-kms'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { input, rejection, textOf } from '../clouds/fixtures.ts'
import { type AwsKms, type FaultName, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { watchConnections } from '../support/connections.js'
import { until } from '../support/until.js'
import { clientOf, open } from './fixtures.ts'

let connections = watchConnections()
let kms: AwsKms
let key: KmsKey

beforeAll(async () => {
  kms = await startAwsKms()
  key = kms.createKey('P-256')
})

afterEach(() => {
  expect(connections.abroad()).toEqual([])
  kms.forget()
})

afterAll(async () => {
  connections.stop()
  await kms.close()
})

const calls = () => kms.requests.map(({ operation }) => operation)

describe('a response that is not from KMS is reported with its status:', () => {
  test.each<[FaultName, number]>([
    ['html', 502],
    ['a page that signs in', 200],
    ['no JSON', 200],
  ])('%s, %d', async (fault, status) => {
    kms.fail(fault)
    expect(await rejection(open(kms, key))).toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      message: `The response is not from AWS KMS (HTTP status ${status}); check endpoint, network and proxy`,
    })
  })
})

describe('if KMS cannot be reached', () => {
  test('nothing listens: the load fails and says so', async () => {
    const gone = await startAwsKms()
    await gone.close()
    expect(await rejection(open(gone, key))).toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      message:
        'AWS KMS cannot be reached: nothing listens there (ECONNREFUSED); check endpoint, network and proxy',
    })
  })

  test('the name of the host is not known', async () => {
    const client = clientOf(kms, { endpoint: 'http://kms.invalid', maxAttempts: 1 })
    expect(await rejection(open(kms, key, { client }))).toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      retryable: true,
    })
    expect(connections.abroad()).toEqual(['kms.invalid'])
    connections.stop()
    connections = watchConnections()
  })

  test('the server answers later than the client waits', async () => {
    const requestHandler = { requestTimeout: 100, throwOnRequestTimeout: true }
    const client = clientOf(kms, { maxAttempts: 2, requestHandler })
    kms.fail('hang')
    expect(await rejection(open(kms, key, { client }))).toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      message: expect.stringMatching(/did not answer/),
    })
    expect(calls()).toEqual(['GetPublicKey', 'GetPublicKey'])
  })
})

// test/clouds has the tests of aborts and deadlines that all key services share.
test("an abort ends the SDK's retries", async () => {
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

test("the deadline includes the SDK's retries, and the error is that of the last attempt", async () => {
  const client = clientOf(kms, { maxAttempts: 100 })
  const signer = await open(kms, key, { client, timeoutSeconds: 2 })
  kms.forget()
  kms.fail('throttle')
  const started = performance.now()
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_THROTTLED' })
  expect(performance.now() - started).toBeLessThan(6000)
})

// The fault matrix looks for leaked secrets with `textOf`, and this is the SDK's own error that has one.
test('a session token that is hidden in an error of the SDK is found by the search for secrets', async () => {
  const credentials = {
    accessKeyId: 'AKIA',
    secretAccessKey: 'secret',
    sessionToken: 'canary-of-a-session-token',
  }
  kms.fail('expired token')
  const command = new GetPublicKeyCommand({ KeyId: key.arn })
  const error = await rejection(clientOf(kms, { credentials }).send(command))
  expect(textOf(error)).toContain(credentials.sessionToken)
})
