import { createServer, type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Signer } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { input, versionOf } from './fixtures.ts'

/** What the SDK tries again as long as there is time; all else is asked for once. */
type Calls = 'one' | 'many' | 'none'

interface Row {
  readonly fault: string
  readonly code: string
  readonly retryable: boolean
  readonly calls: Calls
  readonly says: RegExp
}

const row = (fault: string, code: string, calls: Calls, says: RegExp): Row => ({
  fault,
  code: `ERR_SIGNER_${code}`,
  retryable: ['THROTTLED', 'UNAVAILABLE', 'TIMEOUT'].includes(code),
  calls,
  says,
})

const refusals: readonly Row[] = [
  row('throttle', 'THROTTLED', 'one', /quota/),
  row('unavailable', 'UNAVAILABLE', 'many', /try again later/),
  row('cut', 'UNAVAILABLE', 'many', /endpoint, network and proxy/),
  row('html', 'UNAVAILABLE', 'none', /endpoint, network and proxy/),
  row('internal', 'UNAVAILABLE', 'one', /try again later/),
  row('unknown', 'UNAVAILABLE', 'one', /try again later/),
  row('aborted', 'UNAVAILABLE', 'one', /try again later/),
  row('cancelled', 'UNAVAILABLE', 'one', /try again later/),
  row('data-loss', 'UNAVAILABLE', 'one', /try again later/),
  row('hang', 'TIMEOUT', 'one', /raise "timeoutSeconds"/),
  row('deadline-exceeded', 'TIMEOUT', 'many', /raise "timeoutSeconds"/),
  row('denied', 'ACCESS_DENIED', 'one', /denies cloudkms\.cryptoKeyVersions\.\w+ on projects\//),
  row('api-disabled', 'ACCESS_DENIED', 'one', /gcloud services enable cloudkms/),
  row('unauthenticated', 'ACCESS_DENIED', 'one', /does not accept the access token/),
  row('damaged-on-the-way', 'INTEGRITY', 'one', /other octets than were sent/),
  row('invalid-argument', 'CONFIG', 'one', /check the name/),
  row('unimplemented', 'CONFIG', 'one', /check the endpoint/),
  row('out-of-range', 'BACKEND', 'one', /the cause says why/),
]

const wrong: readonly Row[] = [
  row('no-signature', 'INTEGRITY', 'one', /returned no signature/),
  row('flip-bit', 'INTEGRITY', 'one', /that of another one/),
  row('flip-bit-consistently', 'INTEGRITY', 'one', /does not verify|not canonical/),
  row('other-key', 'INTEGRITY', 'one', /does not verify/),
  row('signed-by-next-version', 'INTEGRITY', 'one', /does not verify/),
  row('answer-for-other-version', 'INTEGRITY', 'one', /answered for another version/),
  row('no-name', 'INTEGRITY', 'one', /answered for another version/),
  row('no-crc', 'INTEGRITY', 'one', /without its checksum/),
  row('wrong-crc', 'INTEGRITY', 'one', /that of another one/),
  row('huge-crc', 'INTEGRITY', 'one', /that of another one/),
  row('unverified', 'INTEGRITY', 'one', /did not verify the checksum/),
  row('wrong-one-verified', 'INTEGRITY', 'one', /did not verify the checksum/),
]

const kinds = [
  'EC_SIGN_P256_SHA256',
  'EC_SIGN_P384_SHA384',
  'EC_SIGN_SECP256K1_SHA256',
  'EC_SIGN_ED25519',
  'RSA_SIGN_PKCS1_2048_SHA256',
  'RSA_SIGN_PSS_2048_SHA256',
]

const timeoutSeconds = 1

let kms: GcpKms
let client: KeyManagementServiceClient
let rest: KeyManagementServiceClient
const signers = new Map<string, Signer>()

beforeAll(async () => {
  kms = await startGcpKms()
  client = new KeyManagementServiceClient(kms.clientOptions())
  rest = new KeyManagementServiceClient(kms.restOptions())
  for (const algorithm of kinds) {
    const key = kms.createKey({ algorithm })
    kms.createVersion(key, { nth: 1 })
    const name = versionOf(key)
    signers.set(algorithm, await gcpKmsSigner({ name, client, timeoutSeconds }))
  }
  const name = versionOf(kms.createKey({ kind: 'P-256' }))
  signers.set('REST', await gcpKmsSigner({ name, client: rest, timeoutSeconds }))
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

async function expectRefusal(attempt: Promise<unknown>, { code, retryable, calls, says }: Row) {
  const start = performance.now()
  const error = await attempt.then(
    () => undefined,
    (reason) => reason,
  )
  const seconds = (performance.now() - start) / 1000
  expect(error).toMatchObject({ code, retryable, backend: 'gcp-kms' })
  expect(error.message).toMatch(says)
  expect(seconds).toBeLessThan(timeoutSeconds + 1)
  const made = kms.requests.length
  if (calls === 'many') expect(made).toBeGreaterThan(1)
  else expect(made).toBe(calls === 'one' ? 1 : 0)
}

describe('when the service does not sign,', () => {
  test.each(refusals)('$fault becomes $code after $calls call(s)', async (expected) => {
    const signer = signerFor('EC_SIGN_P256_SHA256')
    kms.fail(expected.fault)
    await expectRefusal(signer.sign(input), expected)
    kms.forget()
    expect(await signer.sign(input)).toHaveLength(64)
  })

  test.each(['DISABLED', 'DESTROYED', 'DESTROY_SCHEDULED', 'PENDING_GENERATION'] as const)(
    'since the version is %s, that is said',
    async (state) => {
      const name = versionOf(kms.createKey({ kind: 'P-256' }))
      const signer = await gcpKmsSigner({ name, client })
      kms.setState(name, state)
      const disabled = {
        code: 'ERR_SIGNER_KEY_DISABLED',
        message: `${name} is ${state}; enable it, or use another version`,
        retryable: false,
      }
      await expect(signer.sign(input)).rejects.toMatchObject(disabled)
      await expect(gcpKmsSigner({ name, client })).rejects.toMatchObject(disabled)
      kms.setState(name, 'ENABLED')
      expect(await signer.sign(input)).toHaveLength(64)
    },
  )

  test('a fault that passes is got over by the SDK', async () => {
    kms.fail('unavailable', { times: 2 })
    expect(await signerFor('EC_SIGN_P256_SHA256').sign(input)).toHaveLength(64)
    expect(kms.requests).toHaveLength(3)
  })
})

describe('when the service does not load the key,', () => {
  test.each(refusals.filter(({ code }) => !/CONFIG|BACKEND/.test(code)))(
    '$fault becomes $code after $calls call(s)',
    async (expected) => {
      const name = versionOf(kms.createKey({ kind: 'P-256' }))
      kms.fail(expected.fault)
      await expectRefusal(gcpKmsSigner({ name, client, timeoutSeconds }), expected)
    },
  )

  test.each(refusals)('$fault of the trial becomes $code', async ({ fault, code, says, calls }) => {
    if (calls === 'none') return
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    kms.fail(fault, { method: 'AsymmetricSign' })
    const error = await gcpKmsSigner({ name, client, timeoutSeconds }).catch((reason) => reason)
    expect(error).toMatchObject({ code })
    expect(error.message).toMatch(says)
    expect(kms.count('GetPublicKey')).toBe(1)
  })

  test.each([
    ['GetPublicKey', 'viewPublicKey'],
    ['AsymmetricSign', 'useToSign'],
  ] as const)('the permission that %s lacks is named', async (method, permission) => {
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    kms.fail('denied', { method })
    await expect(gcpKmsSigner({ name, client })).rejects.toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining(`cloudkms.cryptoKeyVersions.${permission} on ${name}`),
    })
  })
})

describe.each(kinds)('a wrong answer for %s is not handed out:', (algorithm) => {
  test.each(wrong)('$fault', async (expected) => {
    kms.fail(expected.fault)
    await expectRefusal(signerFor(algorithm).sign(input), expected)
  })
})

test('PSS that is really PKCS#1 is not handed out', async () => {
  kms.fail('pkcs1-for-pss', { method: 'AsymmetricSign' })
  const expected = row('pkcs1-for-pss', 'INTEGRITY', 'one', /does not verify/)
  await expectRefusal(signerFor('RSA_SIGN_PSS_2048_SHA256').sign(input), expected)
  const name = versionOf(kms.createKey({ algorithm: 'RSA_SIGN_PSS_2048_SHA256' }))
  await expect(gcpKmsSigner({ name, client })).rejects.toMatchObject({ code: expected.code })
})

describe('over REST', () => {
  // Its SDK knows neither deadlines nor what has gone wrong while it tries again.
  const timed = ['unavailable', 'cut', 'html', 'hang', 'deadline-exceeded']
  const codes = refusals.filter(({ fault }) => !timed.includes(fault) && fault !== 'data-loss')

  test.each([...codes, ...wrong])('$fault becomes $code, too', async (expected) => {
    const { fault } = expected
    if (/version/.test(fault)) return
    kms.fail(fault)
    await expectRefusal(signerFor('REST').sign(input), expected)
  })

  test('an answer in HTML leaves the service unavailable', async () => {
    kms.fail('html')
    // The connection that was kept is cut.
    const cut = row('html', 'UNAVAILABLE', 'none', /endpoint, network and proxy/)
    await expectRefusal(signerFor('REST').sign(input), cut)
    const expected = row('html', 'UNAVAILABLE', 'none', /endpoint and proxy|network and proxy/)
    await expectRefusal(signerFor('REST').sign(input), expected)
  })

  test.each(['unavailable', 'hang', 'cut'])(
    '%s ends with the deadline at the latest',
    async (fault) => {
      kms.fail(fault)
      const start = performance.now()
      await expect(signerFor('REST').sign(input)).rejects.toMatchObject({ retryable: true })
      expect(performance.now() - start).toBeLessThan(2000)
    },
  )
})

describe('what is not the service', () => {
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
  ])('and answers HTTP/2 with HTML and %i is refused', async (status, code) => {
    const port = await startGateway(status)
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    const clientOptions = { ...kms.clientOptions(), port }
    await expect(gcpKmsSigner({ name, clientOptions, timeoutSeconds })).rejects.toMatchObject({
      code,
    })
  })

  test('and does not listen is refused with what to check', async () => {
    const gone = await startGcpKms()
    const clientOptions = gone.clientOptions()
    await gone.close()
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    const attempt = gcpKmsSigner({ name, clientOptions, timeoutSeconds })
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      cause: expect.objectContaining({ message: expect.stringContaining('ECONNREFUSED') }),
    })
  })
})
