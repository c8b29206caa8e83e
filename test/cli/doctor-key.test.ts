import { chmodSync } from 'node:fs'
import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { createSigner, type JwsAlgorithm, type Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { signerFromUri } from '@countersign/uri'
import { describe, expect, test } from 'vitest'
import { diagnose } from '../../packages/cli/src/doctor/diagnose.ts'
import type { StepResult } from '../../packages/cli/src/doctor/step.ts'
import { type AwsKms, startAwsKms } from '../servers/aws-kms.js'
import { keyPair } from '../support/key-pairs.js'
import { closing, examine, failedStep, step, writeKey } from './doctor-fixtures.ts'

const pem = (passphrase?: string) => {
  const { privateKey } = keyPair('P-256')
  const encryption = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }
  return String(privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption }))
}

/** Has a key diagnosed that cannot be used, so that nobody is asked for anything. */
async function examineKey(
  load: (signal: AbortSignal) => Promise<Signer>,
  options: { timeoutSeconds?: number } = {},
): Promise<readonly StepResult[]> {
  const signer = await localSigner({ key: keyPair('P-256', 1).privateKey })
  return examine(signer, {
    issuer: 'https://as.invalid',
    openKey: async (signal) => ({ signer: await load(signal), async [Symbol.asyncDispose]() {} }),
    ...options,
  })
}

describe('a key in a file', () => {
  const inFile = (path: string, query = '', passphrase?: string) =>
    examineKey(() => signerFromUri(`file://${path}${query}`, { passphrase }))

  test('that does not exist fails the step "key"', async () => {
    const broken = failedStep(await inFile('/nonexistent/key.pem'))
    expect(broken).toMatchObject({ name: 'key', side: 'key', code: 'ERR_SIGNER_KEY_NOT_FOUND' })
    expect(broken.found).toMatch('"/nonexistent/key.pem" does not exist')
    expect(broken.remedy).toMatch(/^correct the name/)
  })

  test('that others can read fails, and says which mode it should have', async () => {
    const path = writeKey(pem())
    chmodSync(path, 0o644)
    const broken = failedStep(await inFile(path))
    expect(broken).toMatchObject({ name: 'key store', code: 'ERR_SIGNER_CONFIG' })
    expect(broken.found).toMatch('run chmod 600 ')
  })

  // Nothing is unreadable to root.
  test.skipIf(process.getuid?.() === 0)(
    'that this process may not read fails the step "key permission"',
    async () => {
      const path = writeKey(pem())
      chmodSync(path, 0o000)
      const broken = failedStep(await inFile(path))
      expect(broken).toMatchObject({ name: 'key permission', code: 'ERR_SIGNER_ACCESS_DENIED' })
    },
  )

  test.each([
    ['no', undefined],
    ['the wrong', 'not-the-passphrase'],
  ])('that is encrypted, with %s passphrase, fails the step "key permission"', async (_, it) => {
    const broken = failedStep(await inFile(writeKey(pem('the-passphrase')), '', it))
    expect(broken).toMatchObject({ name: 'key permission', code: 'ERR_SIGNER_ACCESS_DENIED' })
    expect(broken.remedy).toMatch('the right PIN or passphrase')
    expect(JSON.stringify(broken)).not.toMatch(/(?:not-)?the-passphrase/)
  })

  test('of another kind than its algorithm fails the step "key algorithm"', async () => {
    const steps = await inFile(writeKey(pem()), '?alg=ES384')
    expect(step(steps, 'key').state).toBe('ok')
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'key algorithm', code: 'ERR_SIGNER_CONFIG' })
    expect(broken.found).toMatch('ES384 needs a key of P-384, but this key is of P-256')
    expect(broken.remedy).toMatch(/^leave the algorithm out of the key URI/)
  })

  test('that is public fails the step "key algorithm"', async () => {
    const { publicKey } = keyPair('P-256')
    const path = writeKey(String(publicKey.export({ type: 'spki', format: 'pem' })))
    const broken = failedStep(await inFile(path))
    expect(broken).toMatchObject({ name: 'key algorithm', code: 'ERR_SIGNER_KEY_UNSUPPORTED' })
  })
})

describe('a key in AWS KMS', () => {
  async function inKms(
    change: (kms: AwsKms, key: ReturnType<AwsKms['createKey']>) => void | Promise<void>,
    { alg, keyId }: { alg?: JwsAlgorithm; keyId?: string } = {},
  ) {
    const kms = closing(await startAwsKms())
    const key = kms.createKey('P-256')
    await change(kms, key)
    const client = new KMSClient({ ...kms.client, maxAttempts: 1 })
    try {
      return await examineKey(
        (signal) => awsKmsSigner({ keyId: keyId ?? key.arn, client, alg, signal }),
        { timeoutSeconds: 2 },
      )
    } finally {
      client.destroy()
    }
  }

  test.each([
    ['disabled', 'key', 'ERR_SIGNER_KEY_DISABLED', /^enable the key/],
    ['denied Sign', 'key permission', 'ERR_SIGNER_ACCESS_DENIED', /a policy that allows/],
    ['denied GetPublicKey', 'key permission', 'ERR_SIGNER_ACCESS_DENIED', /a policy that allows/],
    ['throttled', 'key store', 'ERR_SIGNER_THROTTLED', /^try again later/],
    ['hanging', 'key store', 'ERR_SIGNER_TIMEOUT', /raise --timeout/],
    ['down', 'key store', 'ERR_SIGNER_UNAVAILABLE', /^check that the key service runs/],
  ] as const)('that is %s fails the step "%s"', async (what, name, code, remedy) => {
    const broken = failedStep(
      await inKms(async (kms, key) => {
        if (what === 'disabled') kms.disableKey(key)
        else if (what === 'denied Sign') kms.deny('Sign')
        else if (what === 'denied GetPublicKey') kms.deny('GetPublicKey')
        else if (what === 'throttled') kms.fail('throttle')
        else if (what === 'hanging') kms.fail('hang')
        else await kms.close()
      }),
    )
    expect(broken).toMatchObject({ name, code, side: 'key' })
    expect(broken.remedy).toMatch(remedy)
    expect(broken.found).not.toMatch('the cause says why')
  })

  test('that is not there fails the step "key"', async () => {
    const broken = failedStep(await inKms(() => {}, { keyId: 'alias/nothing' }))
    expect(broken).toMatchObject({ name: 'key', code: 'ERR_SIGNER_KEY_NOT_FOUND' })
  })

  test('of another kind than the algorithm fails the step "key algorithm"', async () => {
    const broken = failedStep(await inKms(() => {}, { alg: 'RS256' }))
    expect(broken).toMatchObject({ name: 'key algorithm', code: 'ERR_SIGNER_CONFIG' })
    expect(broken.found).toMatch('RS256 does not fit this key; use ES256')
  })
})

describe('a loaded signer', () => {
  const { privateKey, publicKey } = keyPair('P-256')
  const backend = { name: 'mistaken', alg: 'ES256', publicKey } as const

  test('and signs with another key than it publishes fails the step "signature"', async () => {
    const other = await localSigner({ key: keyPair('P-256', 1).privateKey })
    const mistaken = createSigner(
      { ...backend, sign: ({ message, signal }) => other.sign(message, { signal }) },
      // As any third party may: it is checked here all the same.
      { verify: false },
    )
    const broken = failedStep(await examineKey(async () => mistaken))
    expect(broken).toMatchObject({ name: 'signature', code: 'ERR_SIGNER_INTEGRITY' })
    expect(broken.remedy).toMatch(/^do not use this key/)
  })

  test('and does not sign is closed, and fails after the timeout', async () => {
    let closed = 0
    const signer = createSigner({ ...backend, sign: () => new Promise(() => {}) })
    const steps = await examine(signer, {
      issuer: 'https://as.invalid',
      timeoutSeconds: 0.2,
      openKey: async () => ({
        signer,
        async [Symbol.asyncDispose]() {
          closed++
        },
      }),
    })
    expect(failedStep(steps)).toMatchObject({ name: 'signature', code: 'ERR_SIGNER_TIMEOUT' })
    expect(closed).toBe(1)
  })

  test.each(['RSA-2048', 'P-384', 'P-521', 'secp256k1', 'Ed25519'] as const)(
    'of %s signs once, and the signature is verified',
    async (kind) => {
      const { privateKey } = keyPair(kind)
      const signer = await localSigner({ key: privateKey })
      const steps = await examine(signer, { issuer: 'http://as.invalid' })
      expect(step(steps, 'signature').found).toMatch(/^signed and verified in [\d.]+ ms$/)
      expect(failedStep(steps).name).toBe('https')
    },
  )

  test('of PSS is verified with the salt that JWS has', async () => {
    const signer = await localSigner({ key: keyPair('RSA-2048').privateKey, alg: 'PS384' })
    expect(step(await examine(signer, { issuer: 'http://as.invalid' }), 'signature').state).toBe(
      'ok',
    )
  })

  test('is closed at the end, and when the caller stops early', async () => {
    let closed = 0
    const signer = await localSigner({ key: privateKey })
    const openKey = async () => ({
      signer,
      async [Symbol.asyncDispose]() {
        closed++
      },
    })
    const options = { issuer: 'http://as.invalid', openKey }
    await examine(signer, options)
    expect(closed).toBe(1)
    for await (const _ of diagnose({ ...options, keyStore: 'a test', clientId: 'agent' })) break
    expect(closed).toBe(2)
  })
})

test('an error that is not a SignerError is thrown to the caller', async () => {
  const mistake = new TypeError('"signal" must be an AbortSignal')
  await expect(examineKey(() => Promise.reject(mistake))).rejects.toBe(mistake)
})
