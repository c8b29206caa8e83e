import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { KeyClient } from '@azure/keyvault-keys'
import { type AzureKeyVaultSignerOptions, azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { clientAssertion, rotating, thumbprint } from '@countersign/core'
import { jwtVerify } from 'jose'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { input, rejection } from '../clouds/fixtures.ts'
import { isSignature, openVaults, via } from './fixtures.ts'

const { vault, hsm } = await openVaults()

beforeEach(() => {
  vault.reset()
  vault.requests.length = 0
})

const open = (keyId: string, options: Partial<AzureKeyVaultSignerOptions> = {}) =>
  azureKeyVaultSigner({ keyId, ...via(vault), ...options })

const hour = 3_600_000
const inAnHour = () => new Date(Date.now() + hour)
const anHourAgo = () => new Date(Date.now() - hour)

describe('the version', () => {
  test('that is named is the one that signs', async () => {
    const first = vault.createKey('named')
    vault.createKey('named', { nth: 1 })
    const signer = await open(first.id)
    const signature = await signer.sign(input)
    expect(isSignature('ES256', createPublicKey(first.privateKey), signature)).toBe(true)
  })

  test('that is the newest at load still signs after a rotation', async () => {
    vault.createKey('rotated')
    const second = vault.createKey('rotated', { nth: 1 })
    const signer = await open(second.versionlessId)
    vault.createKey('rotated', { nth: 2 })
    const signature = await signer.sign(input)
    expect(isSignature('ES256', createPublicKey(second.privateKey), signature)).toBe(true)
    const paths = vault.requests.filter(({ operation }) => operation === 'sign')
    expect(paths.map(({ version }) => version)).toEqual(paths.map(() => second.version))
  })

  test('of a name in other letters is found as the service finds it', async () => {
    const { id } = vault.createKey('Mixed-Case')
    await open(id.replace('Mixed-Case', 'mIXED-cASE'))
  })

  test('that the service calls by another host is still asked for where it was', async () => {
    const { id } = vault.createKey('elsewhere')
    vault.fail('kid-elsewhere', { on: 'get' })
    const signer = await open(id)
    await signer.sign(input)
    expect(vault.calls()).toEqual(['get', 'sign', 'sign'])
  })

  test.each([
    ['is disabled', { enabled: false }, 'ERR_SIGNER_KEY_DISABLED'],
    ['expires', { expires: anHourAgo() }, 'ERR_SIGNER_KEY_DISABLED'],
    ['is postponed', { notBefore: inAnHour() }, 'ERR_SIGNER_KEY_DISABLED'],
    ['may sign no longer', { keyOps: ['verify'] }, 'ERR_SIGNER_KEY_UNSUPPORTED'],
  ])(
    'that %s after the load does not sign any more, also if the error has few details',
    async (_, change, code) => {
      const { id } = vault.createKey('changed-later')
      const signer = await open(id)
      vault.updateKey(id, change)
      const refusal = { code, retryable: false }
      expect(await rejection(signer.sign(input))).toMatchObject(refusal)
      for (const fault of ['without-inner-error', 'without-message'] as const) {
        vault.fail(fault)
        expect(await rejection(signer.sign(input))).toMatchObject(refusal)
        vault.reset()
      }
    },
  )

  test('that expires after the load gets no request', async () => {
    const soon = vault.createKey('expires-soon', { expires: inAnHour() })
    const short = await open(soon.id)
    vault.requests.length = 0
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * hour })
    try {
      expect(await rejection(short.sign(input))).toMatchObject({ code: 'ERR_SIGNER_KEY_DISABLED' })
    } finally {
      vi.useRealTimers()
    }
    // The SDK knows the date, and does not ask.
    expect(vault.requests).toEqual([])
  })

  test('that is deleted after the load is not found', async () => {
    const { id } = vault.createKey('deleted-later')
    const signer = await open(id)
    vault.deleteKey('deleted-later')
    expect(await rejection(signer.sign(input))).toMatchObject({ code: 'ERR_SIGNER_KEY_NOT_FOUND' })
  })
})

describe('a key is refused when it is loaded,', () => {
  const disabled = { code: 'ERR_SIGNER_KEY_DISABLED', retryable: false }

  test('when it is disabled, whether the service shows it or not', async () => {
    const { id } = vault.createKey('disabled', { enabled: false })
    expect(await rejection(open(id))).toMatchObject({
      ...disabled,
      message: 'This version of the key is disabled; enable it, or choose another version',
    })
    expect(vault.calls()).toEqual(['get'])
    vault.fail('disabled-get-refused', { on: 'get' })
    expect(await rejection(open(id))).toMatchObject(disabled)
  })

  test('when it has expired', async () => {
    const expires = anHourAgo()
    const { id } = vault.createKey('expired', { expires })
    expect(await rejection(open(id))).toMatchObject({
      ...disabled,
      message: expect.stringContaining(expires.toISOString().slice(0, 19)),
    })
    expect(vault.calls()).toEqual(['get'])
  })

  test('when it is not yet valid', async () => {
    const notBefore = inAnHour()
    const { id } = vault.createKey('early', { notBefore })
    expect(await rejection(open(id))).toMatchObject({
      ...disabled,
      message: expect.stringContaining(notBefore.toISOString().slice(0, 19)),
    })
    expect(vault.calls()).toEqual(['get'])
  })

  test('when it may not sign', async () => {
    const { id } = vault.createKey('verifier', { keyOps: ['verify'] })
    expect(await rejection(open(id))).toMatchObject({
      code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      message: 'The operations of this key do not include "sign"; add it, or use another key',
    })
    expect(vault.calls()).toEqual(['get'])
  })

  test.each([
    ['Ed25519', 'A key of OKP makes'],
    ['RSA-1024', 'This RSA key has 1024 bits'],
  ])('when it is %s', async (type, message) => {
    const { privateKey } =
      type === 'Ed25519'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: 1024 })
    const { id } = vault.createKey(`odd-${type}`, { privateKey })
    expect(await rejection(open(id))).toMatchObject({
      code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      message: expect.stringContaining(message),
    })
  })

  test('when there is none, or no such version', async () => {
    const { versionlessId } = vault.createKey('there')
    for (const keyId of [`${vault.url}/keys/nobody`, `${versionlessId}/${'0'.repeat(32)}`]) {
      expect(await rejection(open(keyId))).toMatchObject({
        code: 'ERR_SIGNER_KEY_NOT_FOUND',
        retryable: false,
        message: expect.stringContaining('check "keyId"'),
      })
    }
  })
})

describe('an algorithm that does not fit is refused with those that do:', () => {
  test.each([
    ['P-256', 'ES384', 'ES256'],
    ['P-256', 'ES256K', 'ES256'],
    ['P-384', 'EdDSA', 'ES384'],
    ['P-256', 'Ed25519', 'ES256'],
    ['RSA-2048', 'ES256', 'one of RS256, RS384, RS512, PS256, PS384, PS512'],
    ['RSA-2048', 'EdDSA', 'one of RS256, RS384, RS512, PS256, PS384, PS512'],
    ['P-256', 'ML-DSA-44', 'ES256'],
  ] as const)('%s as %s', async (kind, alg, fitting) => {
    const { id } = vault.createKey(`misfit-${kind}`, { kind })
    expect(await rejection(open(id, { alg }))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: `The algorithm ${alg} does not fit this key; use ${fitting}`,
    })
    expect(vault.calls()).not.toContain('sign')
  })
})

test.each(['HS256', 'none', 'ES257'])('%s is refused before the vault is asked', async (alg) => {
  const { id } = vault.createKey('unknown')
  const options = { alg } as Partial<AzureKeyVaultSignerOptions>
  expect(await rejection(open(id, options))).toMatchObject({ code: 'ERR_SIGNER_CONFIG' })
  expect(vault.requests).toEqual([])
})

test('rotating goes over to the next version when the one in use is disabled', async () => {
  const first = vault.createKey('followed')
  await using source = await rotating(() => open(first.versionlessId)).ready()
  const assertion = () =>
    clientAssertion(source, { clientId: 'agent', audience: 'https://as.example' })
  const second = vault.createKey('followed', { nth: 1 })
  const before = await jwtVerify(await assertion(), createPublicKey(first.privateKey))
  vault.updateKey(first.id, { enabled: false })
  const after = await jwtVerify(await assertion(), createPublicKey(second.privateKey))
  const jwk = createPublicKey(second.privateKey).export({ format: 'jwk' })
  expect(after.protectedHeader.kid).toBe(thumbprint({ ...jwk }))
  expect(after.protectedHeader.kid).not.toBe(before.protectedHeader.kid)
})

describe.each([
  ['disabled-in-words', /disabled/],
  ['expired-in-words', /expired or is not yet valid/],
  ['not-yet-valid-in-words', /expired or is not yet valid/],
] as const)('a refusal without an inner code (%s)', (fault, says) => {
  test('is of a disabled key, and not of a missing permission', async () => {
    const { id } = vault.createKey('in-words')
    const signer = await open(id)
    vault.fail(fault)
    expect(await rejection(signer.sign(input))).toMatchObject({
      code: 'ERR_SIGNER_KEY_DISABLED',
      message: expect.stringMatching(says),
    })
    vault.reset()
    vault.fail(fault, { on: 'get' })
    expect(await rejection(open(id))).toMatchObject({ code: 'ERR_SIGNER_KEY_DISABLED' })
  })

  test('makes rotating go over to the next version', async () => {
    const first = vault.createKey(`followed-${fault}`)
    await using source = await rotating(() => open(first.versionlessId)).ready()
    const second = vault.createKey(`followed-${fault}`, { nth: 1 })
    vault.fail(fault, { times: 1 })
    const assertion = await clientAssertion(source, {
      clientId: 'agent',
      audience: 'https://as.example',
    })
    await expect(jwtVerify(assertion, createPublicKey(second.privateKey))).resolves.toBeDefined()
  })
})

describe('a JWK that is not canonical gives the canonical key and thumbprint:', () => {
  test('an RSA modulus with a leading zero octet', async () => {
    const { id, privateKey } = vault.createKey('padded', { kind: 'RSA-2048' })
    vault.fail('padded-n', { on: 'get' })
    const { kid, publicJwk } = await open(id)
    const jwk = createPublicKey(privateKey).export({ format: 'jwk' })
    expect(publicJwk).toMatchObject(jwk)
    expect(kid).toBe(thumbprint({ ...jwk }))
  })

  test('an EC coordinate without its leading zero octet', async () => {
    const { privateKey } = pairWithZeros()
    const { id } = vault.createKey('short', { privateKey })
    vault.fail('short-coordinate', { on: 'get' })
    const { kid, publicJwk } = await open(id)
    const jwk = createPublicKey(privateKey).export({ format: 'jwk' })
    expect(publicJwk).toMatchObject(jwk)
    expect(kid).toBe(thumbprint({ ...jwk }))
  })

  function pairWithZeros() {
    for (;;) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-521' })
      const { x = '', y = '' } = pair.publicKey.export({ format: 'jwk' })
      if (x.startsWith('AA') || y.startsWith('AA')) return pair
    }
  }
})

describe('every cloud is known by the host,', () => {
  test.each([
    ['agents.vault.azure.net', 'https://vault.azure.net/.default'],
    ['agents.vault.azure.cn', 'https://vault.azure.cn/.default'],
    ['agents.vault.usgovcloudapi.net', 'https://vault.usgovcloudapi.net/.default'],
    ['agents.managedhsm.azure.net', 'https://managedhsm.azure.net/.default'],
  ])('%s, with a token for its own domain', async (host, scope) => {
    vault.createKey('cloudy')
    vault.scopes.length = 0
    const { vaultUrl, clientOptions } = vault.reachAs(host)
    const signer = await open(`${vaultUrl}/keys/cloudy`, { clientOptions })
    await signer.sign(input)
    expect(new Set(vault.scopes)).toEqual(new Set([scope]))
    expect(vault.requests.every((request) => request.host.startsWith(host))).toBe(true)
  })

  test('and one that asks for a token of another domain gets none', async () => {
    vault.createKey('cloudy')
    vault.setResource('https://graph.microsoft.com')
    vault.scopes.length = 0
    const { vaultUrl, clientOptions } = vault.reachAs('agents.vault.azure.net')
    expect(await rejection(open(`${vaultUrl}/keys/cloudy`, { clientOptions }))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      retryable: false,
      message: expect.stringContaining('a token that is not for its own domain'),
    })
    expect(vault.scopes).toEqual([])
  })

  test('a Managed HSM has a resource of its own', async () => {
    const { id } = hsm.createKey('hsm')
    hsm.scopes.length = 0
    await azureKeyVaultSigner({ keyId: id, ...via(hsm) })
    expect(new Set(hsm.scopes)).toEqual(new Set(['https://managedhsm.azure.net/.default']))
  })
})

describe('options:', () => {
  test.each([
    'agents/keys/agent',
    'https://agents.vault.azure.net',
    'https://agents.vault.azure.net/keys/',
    'https://agents.vault.azure.net/keys/agent/',
    'https://agents.vault.azure.net/keys/agent/1/2',
    'https://agents.vault.azure.net/secrets/agent',
    'https://agents.vault.azure.net/certificates/agent',
    'https://agents.vault.azure.net/keys/agent?api-version=7.4',
    'https://agents.vault.azure.net/keys/agent#1',
    'https://user:pass@agents.vault.azure.net/keys/agent',
    'https://agents.vault.azure.net/keys/a%2fb',
    'https://agents.vault.azure.net/keys/../keys/agent',
    'ftp://agents.vault.azure.net/keys/agent',
    ' https://agents.vault.azure.net/keys/agent',
    'https://agents.vault.azure.net:99999/keys/agent',
    '',
  ])('keyId %j is refused, and not repeated', async (keyId) => {
    const error = await rejection(open(keyId))
    expect(error).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringMatching(/^"keyId" is not the identifier of a key/),
    })
  })

  test.each(['http://agents.vault.azure.net/keys/agent', 'http://127.0.0.1.example/keys/agent'])(
    '%s is refused, since it would send the token in clear text',
    async (keyId) => {
      expect(await rejection(open(keyId))).toMatchObject({
        code: 'ERR_SIGNER_CONFIG',
        message: expect.stringContaining('would expose the access token'),
      })
    },
  )

  test('http to this machine is what the SDK makes of it', async () => {
    expect(await rejection(open('http://127.0.0.1:9/keys/agent'))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message: expect.stringContaining('allowInsecureConnection'),
    })
  })

  test.each([
    ['keyId', { keyId: 1 }],
    ['credential', { credential: undefined }],
    ['credential', { credential: {} }],
    ['client', { credential: undefined, client: {} }],
    [
      'client',
      { client: new KeyClient('https://a.vault.azure.net', { getToken: async () => null }) },
    ],
    ['timeoutSeconds', { timeoutSeconds: 0 }],
    ['verify', { verify: 'no' }],
    ['kid', { kid: '' }],
    ['signal', { signal: 1 }],
  ])('"%s" of a wrong kind is a TypeError', async (name, options) => {
    const { id } = vault.createKey('typed')
    const error = await rejection(open(id, options as Partial<AzureKeyVaultSignerOptions>))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ message: expect.stringContaining(`"${name}"`) })
  })

  test('a client for another vault is refused, before it is used', async () => {
    const { id } = vault.createKey('foreign')
    const client = new KeyClient(hsm.url, hsm.credential, hsm.clientOptions)
    hsm.requests.length = 0
    const error = await rejection(azureKeyVaultSigner({ keyId: id, client }))
    expect(error).toMatchObject({ message: '"client" must be for the vault of "keyId"' })
    expect(hsm.requests).toEqual([])
  })

  test('"kid" is published in place of the thumbprint', async () => {
    const { id } = vault.createKey('kid')
    const { kid, publicJwk } = await open(id, { kid: 'agent-1' })
    expect([kid, publicJwk.kid]).toEqual(['agent-1', 'agent-1'])
  })
})

test.each(['P-256', 'RSA-2048'] as const)('a %s key says whether it is in an HSM', async (kind) => {
  const inSoftware = vault.createKey('agent', { kind })
  const premium = vault.createKey('premium', { kind, hsm: true })
  const managed = hsm.createKey('agent', { kind })
  const said = async (keyId: string, at: typeof vault) =>
    (await azureKeyVaultSigner({ keyId, ...via(at) })).protection
  expect(await said(inSoftware.id, vault)).toBe('software')
  expect(await said(premium.id, vault)).toBe('hsm')
  expect(await said(managed.id, hsm)).toBe('hsm')
})
