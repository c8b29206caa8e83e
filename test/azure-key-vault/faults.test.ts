import { setTimeout as sleep } from 'node:timers/promises'
import type { KeyClientOptions } from '@azure/keyvault-keys'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { beforeEach, expect, test } from 'vitest'
import { input, rejection } from '../clouds/fixtures.ts'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import type { KeyKind } from '../support/key-pairs.js'
import { openVaults, via } from './fixtures.ts'

type PipelinePolicy = NonNullable<KeyClientOptions['additionalPolicies']>[number]['policy']

const { vault } = await openVaults()

beforeEach(() => vault.reset())

/** A key of two versions, by its first. */
function keyOf(kind: KeyKind = 'P-256') {
  const name = `key-${++made}`
  const first = vault.createKey(name, { kind })
  vault.createKey(name, { kind, nth: 1 })
  return first
}
let made = 0

test('throttling that ends within the deadline delays a signature and does not fail it', async () => {
  const { id } = keyOf()
  const signer = await azureKeyVaultSigner({ keyId: id, ...via(vault) })
  vault.requests.length = 0
  vault.fail('throttle', { times: 1, retryAfterSeconds: 1 })
  const started = performance.now()
  await signer.sign(input)
  expect(performance.now() - started).toBeGreaterThan(950)
  expect(vault.calls()).toEqual(['sign', 'sign'])
})

test('a Retry-After beyond the deadline is ERR_SIGNER_THROTTLED, at the deadline', async () => {
  const { id } = keyOf()
  const signer = await azureKeyVaultSigner({ keyId: id, timeoutSeconds: 2, ...via(vault) })
  vault.fail('throttle', { retryAfterSeconds: 60 })
  const started = performance.now()
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_THROTTLED' })
  expect(performance.now() - started).toBeLessThan(10_000)
})

test('a call makes no more requests after its deadline', async () => {
  const { id } = keyOf()
  const { credential, clientOptions } = vault
  const options = { ...clientOptions, retryOptions: { retryDelayInMs: 400 } }
  const signer = await azureKeyVaultSigner({
    keyId: id,
    credential,
    clientOptions: options,
    timeoutSeconds: 0.4,
  })
  vault.requests.length = 0
  vault.fail('unavailable')
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE' })
  const made = vault.requests.length
  await sleep(1000)
  expect(vault.requests).toHaveLength(made)
})

test("policies of the caller's own client options are kept", async () => {
  const { id } = keyOf()
  const statuses: number[] = []
  const { clientOptions, ...access } = via(vault)
  const policy: PipelinePolicy = {
    name: 'caller',
    async sendRequest(request, next) {
      const response = await next(request)
      statuses.push(response.status)
      return response
    },
  }
  const additionalPolicies = [{ policy, position: 'perRetry' as const }]
  const options = { ...clientOptions, additionalPolicies }
  await azureKeyVaultSigner({ keyId: id, ...access, clientOptions: options })
  expect(statuses).toEqual([401, 200, 401, 200])
  expect(options.additionalPolicies).toHaveLength(1)
})

test("with the SDK's own retries, a failing service is reported within the default deadline", async () => {
  const { id } = keyOf()
  const { credential, clientOptions } = vault
  const signer = await azureKeyVaultSigner({ keyId: id, credential, clientOptions })
  vault.requests.length = 0
  vault.fail('internal-error')
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE' })
  expect(vault.calls()).toHaveLength(4)
}, 30_000)

test('a key on another curve than its "crv" says cannot be read', async () => {
  const { id } = keyOf()
  vault.fail('curve-misnamed', { on: 'get' })
  expect(await rejection(azureKeyVaultSigner({ keyId: id, ...via(vault) }))).toMatchObject({
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
  })
})

test.each(['flipped-bit', 'other-key'] as const)('%s of an RSA key is refused', async (fault) => {
  const { id } = keyOf('RSA-2048')
  const signer = await azureKeyVaultSigner({ keyId: id, ...via(vault) })
  vault.fail(fault)
  expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
})

test('a signature whose response names another version is refused, also with verify: false', async () => {
  const { id } = keyOf()
  const signer = await azureKeyVaultSigner({ keyId: id, verify: false, ...via(vault) })
  vault.fail('other-version')
  expect(await rejection(signer.sign(input))).toMatchObject({
    code: 'ERR_SIGNER_INTEGRITY',
    message: expect.stringMatching(/^Azure Key Vault answered for another key or version/),
  })
})

test('a port without a server is ERR_SIGNER_UNAVAILABLE', async () => {
  const gone = await startAzureKeyVault()
  await gone.close()
  const loading = azureKeyVaultSigner({ keyId: `${gone.url}/keys/agent`, ...via(gone) })
  expect(await rejection(loading)).toMatchObject({
    code: 'ERR_SIGNER_UNAVAILABLE',
    retryable: true,
    message: expect.stringMatching(/^Azure Key Vault cannot be reached: .*ECONNREFUSED/),
  })
})

test('a server whose certificate is not trusted gets no request, and the error says how to trust it', async () => {
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
