import { createServer, type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Signer } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { input, rejection } from '../clouds/fixtures.ts'
import { type FaultName, faults } from '../faults/faults.ts'
import { gcpKms } from '../faults/gcp-kms.ts'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { clientOf, startKms, versionOf } from './fixtures.ts'

const kinds = [
  'EC_SIGN_P256_SHA256',
  'EC_SIGN_P384_SHA384',
  'EC_SIGN_SECP256K1_SHA256',
  'EC_SIGN_ED25519',
  'RSA_SIGN_PKCS1_2048_SHA256',
  'RSA_SIGN_PSS_2048_SHA256',
]

/** Faults with a signature or a response that must not be trusted. */
const wrong = [
  'no-signature',
  'flip-bit',
  'flip-bit-consistently',
  'other-key',
  'signed-by-next-version',
  'answer-for-other-version',
  'no-name',
  'no-crc',
  'wrong-crc',
  'huge-crc',
  'unverified',
  'wrong-one-verified',
]

/** The faults with the same result over REST as over gRPC. */
const alsoOverRest = (Object.keys(faults) as FaultName[]).flatMap((fault) => {
  const expected = gcpKms[fault]
  const isImmediate = ['call', 'signature'].includes(faults[fault]) && expected?.ends === 'at once'
  const differs =
    /DATA_LOSS|another version|abort$|encoding|unknown failure/.test(fault) ||
    expected?.alg !== 'ES256'
  return isImmediate && !differs ? [{ fault, expected }] : []
})

const timeoutSeconds = 1

/** Loads a signer with a short deadline. A client connects at its first load, which may take longer than that. */
async function load(name: string, client: KeyManagementServiceClient): Promise<Signer> {
  await gcpKmsSigner({ name, client, timeoutSeconds: 60 })
  return gcpKmsSigner({ name, client, timeoutSeconds })
}

let kms: GcpKms
let client: KeyManagementServiceClient
let rest: KeyManagementServiceClient
let restWithFetch: KeyManagementServiceClient
const signers = new Map<string, Signer>()

beforeAll(async () => {
  kms = await startGcpKms()
  client = new KeyManagementServiceClient(kms.clientOptions())
  rest = new KeyManagementServiceClient(kms.restOptions())
  for (const algorithm of kinds) {
    const key = kms.createKey({ algorithm })
    kms.createVersion(key, { nth: 1 })
    const name = versionOf(key)
    signers.set(algorithm, await load(name, client))
  }
  restWithFetch = new KeyManagementServiceClient(kms.fetchOptions())
  const name = versionOf(kms.createKey({ kind: 'P-256' }))
  signers.set('REST', await load(name, rest))
  signers.set('REST with a fetch of the caller', await load(name, restWithFetch))
  kms.forget()
})

afterEach(() => kms.forget())

afterAll(async () => {
  await client.close()
  await kms.close()
})

const signerFor = (algorithm: string): Signer => {
  const signer = signers.get(algorithm)
  if (signer === undefined) throw new Error(`no signer for ${algorithm}`)
  return signer
}

/** The error of a signature. */
const refusalOf = (signer: Signer) => rejection(signer.sign(input))

describe.each(kinds)('a wrong response for %s is refused:', (algorithm) => {
  test.each(wrong)('%s', async (fault) => {
    kms.fail(fault)
    expect(await refusalOf(signerFor(algorithm))).toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
    expect(kms.requests).toHaveLength(1)
  })
})

test('a timeout after a failed attempt is reported as that failure', async () => {
  kms.fail('unavailable', { times: 1 })
  kms.fail('hang')
  const error = await refusalOf(signerFor('EC_SIGN_P256_SHA256'))
  expect(error).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE', retryable: true })
  expect(error.message).toMatch(/try again later/)
  expect(kms.requests.length).toBeGreaterThan(1)
})

describe.each(['REST', 'REST with a fetch of the caller'])('over %s', (wire) => {
  describe('a fault has the same result as over gRPC:', () => {
    // Its own service: over REST the SDK continues calls after a timeout, which would be counted here.
    let own: GcpKms
    let signer: Signer

    beforeAll(async () => {
      own = await startGcpKms()
      const options = wire === 'REST' ? own.restOptions() : own.fetchOptions()
      const name = versionOf(own.createKey({ kind: 'P-256' }))
      const client = new KeyManagementServiceClient(options)
      signer = await load(name, client)
      own.forget()
    })
    afterEach(() => own.forget())
    afterAll(() => own.close())

    test.each(alsoOverRest)('$fault is $expected.code', async ({ expected }) => {
      const key = own.createKey({ kind: 'P-256' })
      const target = { kms: own, key, version: versionOf(key) }
      expected.inject(target, { on: 'signature', times: undefined })
      const error = await refusalOf(signer)
      const { code, retryable, says, calls } = expected
      expect(error).toMatchObject({ code, retryable })
      expect(error.message).toMatch(says)
      expect(own.requests).toHaveLength(Number(calls))
    })
  })

  test('an answer in HTML leaves the service unavailable', async () => {
    kms.fail('html')
    // The first error is that of the open connection, which is cut.
    for (let count = 0; count < 2; count++) {
      const error = await refusalOf(signerFor(wire))
      expect(error).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE', retryable: true })
      expect(error.message).toMatch(/proxy/)
    }
  })

  test.each(['unavailable', 'cut'])(
    '%s is ERR_SIGNER_UNAVAILABLE, whether or not the SDK retries it',
    async (fault) => {
      kms.fail(fault)
      const error = await refusalOf(signerFor(wire))
      expect(error).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE', retryable: true })
      expect(kms.requests.length).toBeGreaterThan(0)
    },
  )

  test('the state of a key is reported as over gRPC', async () => {
    const key = kms.createKey({ kind: 'P-256' })
    const name = versionOf(key)
    const signer = await gcpKmsSigner({ name, client: wire === 'REST' ? rest : restWithFetch })
    kms.setState(name, 'DISABLED')
    expect(await refusalOf(signer)).toMatchObject({
      code: 'ERR_SIGNER_KEY_DISABLED',
      message: expect.stringContaining('is DISABLED'),
    })
    kms.removeKey(key)
    expect(await refusalOf(signer)).toMatchObject({ code: 'ERR_SIGNER_KEY_NOT_FOUND' })
  })

  test('a response without a body is not accepted as a signature', async () => {
    kms.fail('no-content')
    const code = expect.stringMatching(/^ERR_SIGNER_(?:INTEGRITY|UNAVAILABLE)$/)
    expect(await refusalOf(signerFor(wire))).toMatchObject({ code })
  })

  test('a conflict (409) without a body leaves the service unavailable', async () => {
    kms.fail('conflict')
    expect(await refusalOf(signerFor(wire))).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE' })
  })
})

test('over REST, 410 is ERR_SIGNER_KEY_NOT_FOUND', async () => {
  kms.fail('gone')
  expect(await refusalOf(signerFor('REST'))).toMatchObject({ code: 'ERR_SIGNER_KEY_NOT_FOUND' })
})

test('over REST, the SDK retries a temporary failure', async () => {
  // Its own service, since over REST the SDK continues calls after a timeout.
  const own = await startKms()
  const name = versionOf(own.createKey({ kind: 'P-256' }))
  const signer = await gcpKmsSigner({ name, client: clientOf(own, own.fetchOptions()) })
  own.fail('unavailable', { times: 1 })
  expect(await signer.sign(input)).toHaveLength(64)
  expect(own.count('AsymmetricSign')).toBe(3)
})

test('over REST, a service that does not answer is ERR_SIGNER_TIMEOUT', async () => {
  kms.fail('hang')
  expect(await refusalOf(signerFor('REST'))).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
})

describe('a server that is not the service', () => {
  async function startGateway(status: number): Promise<number> {
    const server: Http2Server = createServer()
    server.on('stream', (stream) => {
      stream.respond({ ':status': status, 'content-type': 'text/html' })
      stream.end('<html><body>no</body></html>')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return (server.address() as AddressInfo).port
  }

  test.each([
    [502, 'ERR_SIGNER_UNAVAILABLE'],
    [503, 'ERR_SIGNER_UNAVAILABLE'],
    [500, 'ERR_SIGNER_UNAVAILABLE'],
    [429, 'ERR_SIGNER_UNAVAILABLE'],
    [404, 'ERR_SIGNER_CONFIG'],
    [403, 'ERR_SIGNER_ACCESS_DENIED'],
    [401, 'ERR_SIGNER_ACCESS_DENIED'],
    [200, 'ERR_SIGNER_UNAVAILABLE'],
  ])('and answers HTTP/2 with HTML and status %i is %s', async (status, code) => {
    const port = await startGateway(status)
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    const clientOptions = { ...kms.clientOptions(), port }
    await expect(gcpKmsSigner({ name, clientOptions, timeoutSeconds: 2 })).rejects.toMatchObject({
      code,
    })
  })

  test('and does not listen is ERR_SIGNER_UNAVAILABLE, with what to check', async () => {
    const gone = await startGcpKms()
    const clientOptions = gone.clientOptions()
    await gone.close()
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    const attempt = gcpKmsSigner({ name, clientOptions, timeoutSeconds: 2 })
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      cause: expect.objectContaining({ message: expect.stringContaining('ECONNREFUSED') }),
    })
  })
})
