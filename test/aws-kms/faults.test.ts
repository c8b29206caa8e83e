import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { rejection } from '../clouds/fixtures.ts'
import { type AwsKms, type FaultName, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { watchConnections } from '../support/connections.js'
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
