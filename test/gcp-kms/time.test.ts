import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { until } from '../support/until.js'
import { clientOf, input, signerOver, startKms, versionOf } from './fixtures.ts'

let kms: GcpKms
let name: string
beforeEach(async () => {
  kms = await startKms()
  name = versionOf(kms.createKey({ kind: 'P-256' }))
})

// The SDK takes its time to be loaded, and to make its first client.
beforeAll(async () => {
  const kms = await startGcpKms()
  const own = kms.createKey({ kind: 'P-256' })
  await gcpKmsSigner({ name: own, clientOptions: kms.clientOptions(), timeoutSeconds: 60 })
  await kms.close()
})

/** What a promise is rejected with, and after how many seconds. */
async function rejection(promise: Promise<unknown>) {
  const start = performance.now()
  const reason = await promise.then(
    () => 'nothing',
    (error: unknown) => error,
  )
  return { reason, seconds: (performance.now() - start) / 1000 }
}

const isAborted = () => kms.requests.at(-1)?.aborted === true

describe('a service that hangs', () => {
  test('costs a signature its deadline, and the call is taken back', async () => {
    const signer = await signerOver(kms, { name, timeoutSeconds: 1 })
    kms.fail('hang')
    const { reason, seconds } = await rejection(signer.sign(input))
    expect(reason).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT', retryable: true })
    expect(seconds).toBeGreaterThan(0.7)
    expect(seconds).toBeLessThan(2)
    await until(isAborted, 1)
    kms.heal()
    expect(await signer.sign(input)).toHaveLength(64)
  })

  test.each(['ListCryptoKeyVersions', 'GetPublicKey', 'AsymmetricSign'] as const)(
    'at %s costs the load its deadline, and the call is taken back',
    async (method) => {
      kms.fail('hang', { method })
      const key = name.replace(/\/cryptoKeyVersions.*/, '')
      const loading = signerOver(kms, { name: key, timeoutSeconds: 1 })
      const { reason, seconds } = await rejection(loading)
      expect(reason).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
      expect(seconds).toBeLessThan(2)
      expect(kms.requests.at(-1)).toMatchObject({ method })
      await until(isAborted, 1)
    },
  )

  test('costs a load one deadline, and not one for each of its calls', async () => {
    kms.setLatency(300)
    const key = name.replace(/\/cryptoKeyVersions.*/, '')
    const { reason, seconds } = await rejection(signerOver(kms, { name: key, timeoutSeconds: 0.7 }))
    expect(reason).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    expect(seconds).toBeLessThan(0.9)
  })
})

describe('an abort', () => {
  const why = { what: 'the caller changed his mind' }

  test('rejects with its reason as it is, and takes the call back', async () => {
    const signer = await signerOver(kms, { name })
    kms.fail('hang')
    const controller = new AbortController()
    const signing = rejection(signer.sign(input, { signal: controller.signal }))
    await until(() => kms.count('AsymmetricSign') === 2)
    controller.abort(why)
    expect((await signing).reason).toBe(why)
    await until(isAborted, 1)
    kms.heal()
    expect(await signer.sign(input)).toHaveLength(64)
  })

  test('before the call asks for nothing', async () => {
    const signer = await signerOver(kms, { name })
    kms.forget()
    expect((await rejection(signer.sign(input, { signal: AbortSignal.abort(why) }))).reason).toBe(
      why,
    )
    const loading = signerOver(kms, { name, signal: AbortSignal.abort(why) })
    expect((await rejection(loading)).reason).toBe(why)
    await sleep(50)
    expect(kms.requests).toEqual([])
  })

  test('in the turn of the call reaches no service', async () => {
    const signer = await signerOver(kms, { name })
    kms.forget()
    const controller = new AbortController()
    const signing = rejection(signer.sign(input, { signal: controller.signal }))
    controller.abort(why)
    expect((await signing).reason).toBe(why)
    await sleep(100)
    expect(kms.requests.filter(({ aborted }) => !aborted)).toEqual([])
  })

  test('while the SDK waits to try again ends that, too', async () => {
    const signer = await signerOver(kms, { name })
    kms.forget()
    kms.fail('unavailable')
    const controller = new AbortController()
    const signing = rejection(signer.sign(input, { signal: controller.signal }))
    await until(() => kms.requests.length > 2)
    controller.abort(why)
    expect((await signing).reason).toBe(why)
    const seen = kms.requests.length
    await sleep(1500)
    expect(kms.requests.length - seen).toBeLessThanOrEqual(1)
  })

  test.each(['GetPublicKey', 'AsymmetricSign'] as const)(
    'of the load at %s rejects with its reason as it is',
    async (method) => {
      kms.fail('hang', { method })
      const controller = new AbortController()
      const loading = rejection(signerOver(kms, { name, signal: controller.signal }))
      await until(() => kms.count(method) === 1)
      controller.abort(why)
      expect((await loading).reason).toBe(why)
      await until(isAborted, 1)
    },
  )

  test('after the load does not concern its signer', async () => {
    const controller = new AbortController()
    const signer = await signerOver(kms, { name, signal: controller.signal })
    controller.abort(why)
    expect(await signer.sign(input)).toHaveLength(64)
  })
})

describe('two signers on one client', () => {
  // The SDK keeps the timeout of the call that was made last for all that begin in the same turn.
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

describe('a client that the signer made for itself', () => {
  test('is closed when the load fails, however it fails', async () => {
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

  test("a client of the caller's is not", async () => {
    const client = clientOf(kms)
    kms.fail('denied', { times: 1 })
    await rejection(gcpKmsSigner({ name, client }))
    expect(kms.connections()).toBe(1)
    expect(await (await gcpKmsSigner({ name, client })).sign(input)).toHaveLength(64)
  })
})

describe('a process ends by itself', () => {
  const here = fileURLToPath(new URL('.', import.meta.url))

  /** Runs a program that has a signer, and tells what it printed and for how long it went on afterwards. */
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

  const giveUp = `
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

  test('soon after a signature was given up that the service never answers', async () => {
    kms.fail('hang', { method: 'AsymmetricSign', after: 1 })
    const { said, seconds } = await run(giveUp)
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

  test('soon after a signature was given up that the SDK was trying again', async () => {
    kms.fail('unavailable', { method: 'AsymmetricSign', after: 1 })
    const { said, seconds } = await run(giveUp)
    expect(said).toBe('TimeoutError')
    expect(seconds).toBeLessThan(1.5)
  })

  test('when there are no credentials, with an error that can be caught', async () => {
    const { said, stderr } = await run(
      `const { sslCreds, authClient, ...place } = clientOptions
       const options = { ...place, keyFilename: '/nonexistent/key.json' }
       await gcpKmsSigner({ name, clientOptions: options }).catch((error) => say(error.code))`,
    )
    expect(said).toBe('ERR_SIGNER_ACCESS_DENIED')
    expect(stderr).toBe('')
  })
})
