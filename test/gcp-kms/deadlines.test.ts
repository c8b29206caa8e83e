import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { input, rejection } from '../clouds/fixtures.ts'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { until } from '../support/until.js'
import { clientOf, signerOver, startKms, versionOf } from './fixtures.ts'

let kms: GcpKms
let name: string
beforeEach(async () => {
  kms = await startKms()
  name = versionOf(kms.createKey({ kind: 'P-256' }))
})

// Loading the SDK and creating its first client are slow.
beforeAll(async () => {
  const kms = await startGcpKms()
  const own = kms.createKey({ kind: 'P-256' })
  await gcpKmsSigner({ name: own, clientOptions: kms.clientOptions(), timeoutSeconds: 60 })
  await kms.close()
})

/** The error of a promise, and the seconds until it was rejected. */
async function timed(promise: Promise<unknown>) {
  const start = performance.now()
  const reason = await rejection(promise)
  return { reason, seconds: (performance.now() - start) / 1000 }
}

// test/clouds has the tests of aborts and deadlines that all key services share.
describe('a service that does not answer', () => {
  test('to ListCryptoKeyVersions fails the load at the deadline, and the call is cancelled', async () => {
    kms.fail('hang', { method: 'ListCryptoKeyVersions' })
    const key = name.replace(/\/cryptoKeyVersions.*/, '')
    const { reason, seconds } = await timed(signerOver(kms, { name: key, timeoutSeconds: 1 }))
    expect(reason).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    expect(seconds).toBeLessThan(2)
    expect(kms.requests).toMatchObject([{ method: 'ListCryptoKeyVersions' }])
    await until(() => kms.requests[0]?.aborted === true, 1)
  })

  test('fails a load at one deadline for all of its calls', async () => {
    kms.setLatency(300)
    const key = name.replace(/\/cryptoKeyVersions.*/, '')
    const { reason, seconds } = await timed(signerOver(kms, { name: key, timeoutSeconds: 0.7 }))
    expect(reason).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    expect(seconds).toBeLessThan(0.9)
  })
})

describe('an abort', () => {
  const why = { what: 'the caller changed its mind' }

  test('in the same turn as the call makes no request', async () => {
    const signer = await signerOver(kms, { name })
    kms.forget()
    const controller = new AbortController()
    const signing = rejection(signer.sign(input, { signal: controller.signal }))
    controller.abort(why)
    expect(await signing).toBe(why)
    await sleep(100)
    expect(kms.requests.filter(({ aborted }) => !aborted)).toEqual([])
  })

  test('while the SDK waits for a retry ends the retries', async () => {
    const signer = await signerOver(kms, { name })
    kms.forget()
    kms.fail('unavailable')
    const controller = new AbortController()
    const signing = rejection(signer.sign(input, { signal: controller.signal }))
    await until(() => kms.requests.length > 2)
    controller.abort(why)
    expect(await signing).toBe(why)
    const seen = kms.requests.length
    await sleep(1500)
    expect(kms.requests.length - seen).toBeLessThanOrEqual(1)
  })
})

describe('two signers on one client', () => {
  // The SDK uses the timeout of the last call for all calls that start in the same turn.
  test.each([
    [1, 10],
    [10, 1],
  ])('that have %d s and %d s keep their own deadlines', async (...seconds) => {
    const client = clientOf(kms)
    const signers = await Promise.all(
      seconds.map((timeoutSeconds) => gcpKmsSigner({ name, client, timeoutSeconds })),
    )
    kms.setLatency(2000)
    const outcomes = await Promise.allSettled(signers.map((signer) => signer.sign(input)))
    expect(outcomes.map(({ status }) => status)).toEqual(
      seconds.map((one) => (one === 1 ? 'rejected' : 'fulfilled')),
    )
  })
})

describe('the client of a signer', () => {
  test('is closed when the load fails, for any reason', async () => {
    const clientOptions = kms.clientOptions()
    for (const fault of ['denied', 'flip-bit', 'no-key', 'hang']) {
      kms.forget()
      kms.fail(fault)
      await rejection(gcpKmsSigner({ name, clientOptions, timeoutSeconds: 0.3 }))
      await until(() => kms.connections() === 0, 2)
    }
    kms.forget()
    kms.fail('hang')
    const controller = new AbortController()
    const loading = rejection(gcpKmsSigner({ name, clientOptions, signal: controller.signal }))
    await until(() => kms.requests.length === 1)
    controller.abort()
    await loading
    await until(() => kms.connections() === 0, 2)
  })

  test("is not closed if it is the caller's", async () => {
    const client = clientOf(kms)
    kms.fail('denied', { times: 1 })
    await rejection(gcpKmsSigner({ name, client }))
    expect(kms.connections()).toBe(1)
    expect(await (await gcpKmsSigner({ name, client })).sign(input)).toHaveLength(64)
  })
})

describe('a process ends by itself', () => {
  const here = fileURLToPath(new URL('.', import.meta.url))

  /** Runs a program with a signer. Returns its output, and the seconds from its last output to its exit. */
  async function run(program: string) {
    const source = `
      import grpc from '@grpc/grpc-js'
      import { gcpKmsSigner } from '@countersign/gcp-kms'
      const clientOptions = {
        apiEndpoint: '127.0.0.1',
        port: ${kms.port},
        sslCreds: grpc.credentials.createInsecure(),
        authClient: { universeDomain: 'googleapis.com' },
      }
      const name = ${JSON.stringify(name)}
      const load = (options) => gcpKmsSigner({ name, clientOptions, ...options })
      let done
      const say = (word) => { console.log(word); done = performance.now() }
      process.on('exit', () => console.log('after', (performance.now() - done) / 1000))
      ${program}`
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', source],
      { cwd: here, timeout: 25_000 },
    )
    const [, said, seconds] = /^([\s\S]*)\nafter ([\d.]+)\n$/.exec(stdout) ?? []
    return { said, seconds: Number(seconds), stderr }
  }

  const abortSignature = `
    const signer = await load()
    const signing = signer.sign(Buffer.from('x'), { signal: AbortSignal.timeout(500) })
    await signing.catch((error) => say(error.name))`

  test('with an open signer', async () => {
    const { said, seconds } = await run(
      'const signer = await load(); say((await signer.sign(Buffer.from("x"))).length)',
    )
    expect(said).toBe('64')
    expect(seconds).toBeLessThan(1)
  })

  test('soon after a signature was aborted that the service does not answer', async () => {
    kms.fail('hang', { method: 'AsymmetricSign', after: 1 })
    const { said, seconds } = await run(abortSignature)
    expect(said).toBe('TimeoutError')
    expect(seconds).toBeLessThan(1)
  })

  test('soon after a deadline', async () => {
    kms.fail('hang')
    const { said, seconds } = await run(
      'await load({ timeoutSeconds: 0.5 }).catch((error) => say(error.code))',
    )
    expect(said).toBe('ERR_SIGNER_TIMEOUT')
    expect(seconds).toBeLessThan(1)
  })

  test('soon after a signature was aborted that the SDK was retrying', async () => {
    kms.fail('unavailable', { method: 'AsymmetricSign', after: 1 })
    const { said, seconds } = await run(abortSignature)
    expect(said).toBe('TimeoutError')
    expect(seconds).toBeLessThan(1.5)
  })

  test('without credentials, with an error that can be caught', async () => {
    const { said, stderr } = await run(
      `const { sslCreds, authClient, ...place } = clientOptions
       const options = { ...place, keyFilename: '/nonexistent/key.json' }
       await gcpKmsSigner({ name, clientOptions: options }).catch((error) => say(error.code))`,
    )
    expect(said).toBe('ERR_SIGNER_ACCESS_DENIED')
    expect(stderr).toBe('')
  })
})
