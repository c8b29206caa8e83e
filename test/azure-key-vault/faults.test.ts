import { createPublicKey } from 'node:crypto'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { beforeEach, describe, expect, test } from 'vitest'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import type { KeyKind } from '../support/key-pairs.js'
import { ofService, ofSignature } from './fault-matrix.ts'
import { input, isSignature, openVaults, rejection, via } from './fixtures.ts'

const { vault } = await openVaults()

beforeEach(() => vault.mend())

/** Only what hangs is to be waited for until the deadline. */
const secondsFor = (fault: string) => (fault === 'hang' ? 1 : 10)

/** A key of two versions, by its first. */
function keyOf(kind: KeyKind = 'P-256') {
  const name = `key-${++made}`
  const first = vault.createKey(name, { kind })
  vault.createKey(name, { kind, nth: 1 })
  return first
}
let made = 0

describe.each([...ofService, ...ofSignature])(
  '$fault ($kind)',
  ({ fault, code, retryable, calls, kind = 'P-256', alg }) => {
    const outcome = { code, retryable, backend: 'azure-key-vault' }
    const timeoutSeconds = secondsFor(fault)

    test(`in answer to a signature is ${code} after ${calls} requests, and the next one is fine`, async () => {
      const { id, privateKey } = keyOf(kind)
      const signer = await azureKeyVaultSigner({ keyId: id, alg, timeoutSeconds, ...via(vault) })
      vault.requests.length = 0
      vault.fail(fault, { retryAfterSeconds: 0 })
      expect(await rejection(signer.sign(input))).toMatchObject(outcome)
      expect(vault.calls()).toEqual(Array.from({ length: calls }, () => 'sign'))
      vault.mend()
      const signature = await signer.sign(input)
      expect(isSignature(signer.alg, createPublicKey(privateKey), signature)).toBe(true)
    })

    test(`in answer to the trial signature makes the load fail with ${code}`, async () => {
      const { id } = keyOf(kind)
      vault.fail(fault, { retryAfterSeconds: 0 })
      const loading = azureKeyVaultSigner({ keyId: id, alg, timeoutSeconds, ...via(vault) })
      expect(await rejection(loading)).toMatchObject(outcome)
    })
  },
)

test.each(ofService)(
  '$fault in answer to the key is $code after $calls requests',
  async ({ fault, code, retryable, calls }) => {
    const { id } = keyOf()
    vault.requests.length = 0
    vault.fail(fault, { on: 'get', retryAfterSeconds: 0 })
    const timeoutSeconds = secondsFor(fault)
    const loading = azureKeyVaultSigner({ keyId: id, timeoutSeconds, ...via(vault) })
    expect(await rejection(loading)).toMatchObject({ code, retryable })
    expect(vault.calls()).toEqual(Array.from({ length: calls }, () => 'get'))
  },
)

test('throttling that ends within the deadline costs waiting and nothing else', async () => {
  const { id } = keyOf()
  const signer = await azureKeyVaultSigner({ keyId: id, ...via(vault) })
  vault.requests.length = 0
  vault.fail('throttle', { times: 1, retryAfterSeconds: 1 })
  const started = performance.now()
  await signer.sign(input)
  expect(performance.now() - started).toBeGreaterThan(950)
  expect(vault.calls()).toEqual(['sign', 'sign'])
})

test('a Retry-After beyond the deadline is a timeout at the deadline', async () => {
  const { id } = keyOf()
  const signer = await azureKeyVaultSigner({ keyId: id, timeoutSeconds: 2, ...via(vault) })
  vault.fail('throttle', { retryAfterSeconds: 60 })
  const started = performance.now()
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
  expect(performance.now() - started).toBeLessThan(10_000)
})

test("with the SDK's own retries, a failing service is given up within the default deadline", async () => {
  const { id } = keyOf()
  const { credential, clientOptions } = vault
  const signer = await azureKeyVaultSigner({ keyId: id, credential, clientOptions })
  vault.requests.length = 0
  vault.fail('internal-error')
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE' })
  expect(vault.calls()).toHaveLength(4)
}, 30_000)

test('where every EC key is P-256, one that should be P-384 is refused as ES384 with what it is', async () => {
  const { id } = keyOf('P-384')
  vault.fail('every-ec-p256', { on: 'get' })
  expect(
    await rejection(azureKeyVaultSigner({ keyId: id, alg: 'ES384', ...via(vault) })),
  ).toMatchObject({
    code: 'ERR_SIGNER_CONFIG',
    message: 'The algorithm ES384 does not fit this key; use ES256',
  })
})

test.each([
  ['other-public-key', 'ERR_SIGNER_INTEGRITY'],
  ['curve-misnamed', 'ERR_SIGNER_KEY_UNSUPPORTED'],
  ['other-version', 'ERR_SIGNER_INTEGRITY'],
  ['no-version', 'ERR_SIGNER_INTEGRITY'],
  ['no-kid', 'ERR_SIGNER_UNAVAILABLE'],
  ['no-key', 'ERR_SIGNER_UNAVAILABLE'],
] as const)('%s in answer to the key is %s', async (fault, code) => {
  const { id } = keyOf()
  vault.fail(fault, { on: 'get' })
  expect(await rejection(azureKeyVaultSigner({ keyId: id, ...via(vault) }))).toMatchObject({ code })
})

test('a server that answers 500 for a mistake of the client is not taken at its word for long', async () => {
  vault.requests.length = 0
  vault.fail('error-for-mistakes', { on: 'get' })
  const keyId = `${vault.url}/keys/nobody`
  expect(await rejection(azureKeyVaultSigner({ keyId, ...via(vault) }))).toMatchObject({
    code: 'ERR_SIGNER_UNAVAILABLE',
    message: 'Azure Key Vault is failing (500 KeyNotFound); try again later',
  })
  expect(vault.calls()).toHaveLength(4)
})

test('a key that is replaced behind its version signs nothing more', async () => {
  const { id } = keyOf()
  const signer = await azureKeyVaultSigner({ keyId: id, ...via(vault) })
  const { privateKey } = vault.createKey('replacement', { nth: 1 })
  vault.updateKey(id, { privateKey })
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
})

test('a signature that the service itself calls one of another version is refused unverified, too', async () => {
  const { id } = keyOf()
  const signer = await azureKeyVaultSigner({ keyId: id, verify: false, ...via(vault) })
  vault.fail('other-version')
  expect(await rejection(signer.sign(input))).toMatchObject({
    code: 'ERR_SIGNER_INTEGRITY',
    message: expect.stringMatching(/^Azure Key Vault answered for another key or version/),
  })
})

test('a connection that is cut in the middle of an answer is said to be', async () => {
  const { id } = keyOf()
  vault.fail('cut-short', { on: 'get' })
  expect(await rejection(azureKeyVaultSigner({ keyId: id, ...via(vault) }))).toMatchObject({
    message:
      'The connection to Azure Key Vault was cut in the middle of its answer; try again later',
  })
})

test('a server that nothing listens on is unavailable', async () => {
  const gone = await startAzureKeyVault()
  await gone.close()
  const loading = azureKeyVaultSigner({ keyId: `${gone.url}/keys/agent`, ...via(gone) })
  expect(await rejection(loading)).toMatchObject({
    code: 'ERR_SIGNER_UNAVAILABLE',
    retryable: true,
    message: expect.stringMatching(/^Azure Key Vault cannot be reached: .*ECONNREFUSED/),
  })
})

test('a server whose certificate is not trusted is not asked, and it is said how to trust it', async () => {
  const { id } = keyOf()
  const { credential } = vault
  const clientOptions = { disableChallengeResourceVerification: true }
  vault.requests.length = 0
  expect(
    await rejection(azureKeyVaultSigner({ keyId: id, credential, clientOptions })),
  ).toMatchObject({
    code: 'ERR_SIGNER_UNAVAILABLE',
    retryable: false,
    message: expect.stringMatching(/certificate is not trusted .*NODE_EXTRA_CA_CERTS/),
  })
  expect(vault.requests).toEqual([])
})
