import * as newest from '@azure/keyvault-keys'
import { type AzureKeyClient, azureKeyVaultSigner } from '@countersign/azure-key-vault'
import * as oldest from 'azure-keyvault-keys-oldest'
import { beforeEach, describe, expect, test } from 'vitest'
import { input, rejection } from '../clouds/fixtures.ts'
import { until } from '../support/until.js'
import { openVaults, via } from './fixtures.ts'

const { vault } = await openVaults()
const { id, versionlessId } = vault.createKey('agent')

beforeEach(() => {
  vault.reset()
  vault.requests.length = 0
})

const open = (keyId = id) => azureKeyVaultSigner({ keyId, ...via(vault) })

/** What arrived, with `401` for the requests without a token that the SDK begins with. */
const arrived = () =>
  vault.requests.map(({ operation, authorized }) => (authorized ? operation : '401'))

describe('the requests', () => {
  test.each(['with', 'without'])(
    'of a load %s a version are one for the key and one for the trial signature, each after its challenge',
    async (which) => {
      await open(which === 'with' ? id : versionlessId)
      expect(arrived()).toEqual(['401', 'get', '401', 'sign'])
    },
  )

  test('of a signature are exactly one, also for many concurrent signatures', async () => {
    const signer = await open()
    vault.requests.length = 0
    for (let n = 0; n < 5; n++) await signer.sign(input)
    await Promise.all(Array.from({ length: 20 }, () => signer.sign(input)))
    expect(arrived()).toEqual(Array.from({ length: 25 }, () => 'sign'))
  })

  test('carry the digest, and never what is signed', async () => {
    const signer = await open()
    vault.requests.length = 0
    await signer.sign(Buffer.from('canary-of-an-assertion'))
    const [request] = vault.requests
    expect(Object.keys(JSON.parse(request?.body ?? '{}'))).toEqual(['alg', 'value'])
    expect(Buffer.from(JSON.parse(request?.body ?? '{}').value, 'base64url')).toHaveLength(32)
  })

  test('with a client of the caller are one more, since the SDK reads the key again', async () => {
    const client = new newest.KeyClient(vault.url, vault.credential, vault.clientOptions)
    const signer = await azureKeyVaultSigner({ keyId: id, client })
    expect(arrived()).toEqual(['401', 'get', 'get', 'sign'])
    vault.requests.length = 0
    await signer.sign(input)
    expect(arrived()).toEqual(['sign'])
  })

  test('need no permission but keys/get and keys/sign', async () => {
    // The test server records any other request as "other".
    const signer = await open()
    await signer.sign(input)
    expect(vault.requests.map(({ operation }) => operation)).not.toContain('other')
  })
})

describe.each([
  ['4.8.0', oldest],
  ['the newest', newest],
])('@azure/keyvault-keys %s', (_version, { KeyClient }) => {
  const client: () => AzureKeyClient = () =>
    new KeyClient(vault.url, vault.credential, {
      ...vault.clientOptions,
      retryOptions: { retryDelayInMs: 1 },
    })

  test('gives a client that fits, and signs with it', async () => {
    const signer = await azureKeyVaultSigner({ keyId: versionlessId, client: client() })
    vault.requests.length = 0
    await signer.sign(input)
    expect(arrived()).toEqual(['sign'])
  })

  test.each([
    ['throttle', 'ERR_SIGNER_THROTTLED'],
    ['unavailable', 'ERR_SIGNER_UNAVAILABLE'],
    ['unavailable-without-body', 'ERR_SIGNER_UNAVAILABLE'],
    ['page', 'ERR_SIGNER_UNAVAILABLE'],
    ['cut', 'ERR_SIGNER_UNAVAILABLE'],
    ['no-signature', 'ERR_SIGNER_INTEGRITY'],
    ['other-version', 'ERR_SIGNER_INTEGRITY'],
  ] as const)('shows %s so that it is %s', async (fault, code) => {
    vault.createKey('agent', { nth: 1 })
    const signer = await azureKeyVaultSigner({ keyId: id, client: client() })
    vault.fail(fault, { retryAfterSeconds: 0 })
    expect(await rejection(signer.sign(input))).toMatchObject({ code })
  })

  test('shows a missing permission for the key, and for the signature', async () => {
    vault.deny('get', 'policy')
    const loading = azureKeyVaultSigner({ keyId: id, client: client() })
    expect(await rejection(loading)).toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining('keys/get'),
    })
    vault.reset()
    vault.deny('sign', 'policy')
    const trial = azureKeyVaultSigner({ keyId: id, client: client() })
    expect(await rejection(trial)).toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining('keys/sign'),
    })
  })
})

// test/clouds/aborts.test.ts has the tests that all key services share.
describe('an abort', () => {
  const reason = { why: 'the user left' }

  test('while the SDK waits for a retry ends the signature, and the signal of the load does not affect it', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const signer = await azureKeyVaultSigner({ keyId: id, ...via(vault), signal })
    controller.abort(reason)
    vault.fail('throttle', { retryAfterSeconds: 60 })
    vault.requests.length = 0
    const second = new AbortController()
    const waiting = rejection(signer.sign(input, { signal: second.signal }))
    await until(() => vault.calls().length === 1)
    second.abort(reason)
    expect(await waiting).toBe(reason)
    vault.reset()
    expect(await signer.sign(input)).toHaveLength(64)
  })
})

describe('the deadline', () => {
  test('includes the time that the credential takes for a token', async () => {
    const credential = { getToken: () => new Promise<never>(() => {}) }
    const { clientOptions } = via(vault)
    const started = performance.now()
    const loading = azureKeyVaultSigner({
      keyId: id,
      credential,
      clientOptions,
      timeoutSeconds: 1,
    })
    expect(await rejection(loading)).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    expect(performance.now() - started).toBeLessThan(5000)
  })
})
