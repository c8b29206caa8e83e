import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type AwsKms, type FaultName, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { watchConnections } from '../support/connections.js'
import { type FaultRow, faultTable } from './fault-table.ts'
import { clientOf, input, open, refusal } from './fixtures.ts'

const rows = Object.entries(faultTable) as [FaultName, FaultRow][]
const timeoutSeconds = 10

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
const repeated = (operation: string, times: number) =>
  Array.from({ length: times }, () => operation)

describe.each(rows)('KMS with the fault "%s"', (fault, row) => {
  const { code, retryable, says, calls: attempts } = row
  const expected = {
    code,
    retryable,
    backend: 'aws-kms',
    message: expect.stringContaining(says),
  }

  test(`fails a signature with ${code} after ${attempts} calls, and the next succeeds`, async () => {
    const signer = await open(kms, key, { timeoutSeconds })
    kms.forget()
    kms.fail(fault)
    const started = performance.now()
    expect(await refusal(signer.sign(input))).toMatchObject(expected)
    expect(performance.now() - started).toBeLessThan(timeoutSeconds * 1000)
    expect(calls()).toEqual(repeated('Sign', attempts))
    kms.forget()
    expect(await signer.sign(input)).toHaveLength(64)
  })

  test('fails the load by its trial signature', async () => {
    kms.fail(fault, { operation: 'Sign' })
    expect(await refusal(open(kms, key, { timeoutSeconds }))).toMatchObject(expected)
    expect(calls()).toEqual(['GetPublicKey', ...repeated('Sign', attempts)])
  })
})

describe.each(rows.filter(([, { signatureOnly }]) => !signatureOnly))(
  'KMS with the fault "%s" when the key is read',
  (fault, { code, retryable, says, calls: attempts }) => {
    test(`fails the load with ${code} after ${attempts} calls`, async () => {
      kms.fail(fault, { operation: 'GetPublicKey' })
      expect(await refusal(open(kms, key, { timeoutSeconds }))).toMatchObject({
        code,
        retryable,
        message: expect.stringContaining(says),
      })
      expect(calls()).toEqual(repeated('GetPublicKey', attempts))
    })
  },
)

test.each(rows.filter(([, { calls }]) => calls === 3).map(([fault]) => fault))(
  'the fault "%s" is no failure when it happens once, since the SDK asks again',
  async (fault) => {
    const signer = await open(kms, key)
    kms.forget()
    kms.fail(fault, { times: 1 })
    expect(await signer.sign(input)).toHaveLength(64)
    expect(calls()).toEqual(['Sign', 'Sign'])
  },
)

test.each<FaultName>(['throttle', 'internal error', 'cut'])(
  'the fault "%s" is met once when the client makes one attempt: no retry is ours',
  async (fault) => {
    const signer = await open(kms, key, { client: clientOf(kms, { maxAttempts: 1 }) })
    kms.forget()
    kms.fail(fault)
    await refusal(signer.sign(input))
    expect(calls()).toEqual(['Sign'])
  },
)

describe('a public key that', () => {
  test.each<[string, FaultName, string, string]>([
    ['is missing', 'no public key', 'ERR_SIGNER_INTEGRITY', 'without a public key'],
    ['is damaged', 'damaged public key', 'ERR_SIGNER_KEY_UNSUPPORTED', 'cannot be read'],
    ['is of another key', 'other public key', 'ERR_SIGNER_INTEGRITY', 'does not verify'],
  ])('%s is refused when it is loaded', async (_, fault, code, says) => {
    kms.fail(fault, { operation: 'GetPublicKey' })
    expect(await refusal(open(kms, key))).toMatchObject({
      code,
      message: expect.stringContaining(says),
    })
  })
})

describe('where no KMS is', () => {
  test('nothing listens: the load fails and says so', async () => {
    const gone = await startAwsKms()
    await gone.close()
    expect(await refusal(open(gone, key))).toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      message:
        'AWS KMS cannot be reached: nothing listens there (ECONNREFUSED); check endpoint, network and proxy',
    })
  })

  test('the name of the host is not known', async () => {
    const client = clientOf(kms, { endpoint: 'http://kms.invalid', maxAttempts: 1 })
    expect(await refusal(open(kms, key, { client }))).toMatchObject({
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
    expect(await refusal(open(kms, key, { client }))).toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      message: expect.stringMatching(/did not answer/),
    })
    expect(calls()).toEqual(['GetPublicKey', 'GetPublicKey'])
  })
})
