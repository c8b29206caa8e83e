import { azureKeyVaultSigner, type TokenCredential } from '@countersign/azure-key-vault'
import { beforeEach, describe, expect, test } from 'vitest'
import { input, rejection, textOf } from '../clouds/fixtures.ts'
import type { Denial } from '../servers/azure-key-vault/errors.js'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { openVaults, via } from './fixtures.ts'

const { vault } = await openVaults()
const { id } = vault.createKey('agent')
vault.createKey('agent', { nth: 1 })

beforeEach(() => vault.reset())

const open = (credential: TokenCredential = vault.credential) =>
  azureKeyVaultSigner({ keyId: id, ...via(vault), credential })

const denied = { code: 'ERR_SIGNER_ACCESS_DENIED', retryable: false }

/** The advice in the error, by the reason of the denial. */
const remedies: Readonly<Record<Denial, (verb: string) => RegExp>> = {
  policy: (verb) =>
    new RegExp(`^The credential lacks keys/${verb} .*ForbiddenByPolicy.*permission "${verb}"`),
  rbac: (verb) =>
    new RegExp(`^The credential lacks keys/${verb} .*ForbiddenByRbac.*"Key Vault Crypto User"`),
  hsm: (verb) =>
    new RegExp(`^The credential lacks keys/${verb} .*AccessDenied.*"Managed HSM Crypto User"`),
  firewall: () => /^The network rules of the vault do not admit this machine/,
  'private-link': () => /^The network rules of the vault do not admit this machine/,
}

describe.each(Object.keys(remedies) as Denial[])('denied by %s,', (by) => {
  test.each(['get', 'sign'] as const)('keys/%s is named at load', async (operation) => {
    vault.deny(operation, by)
    const error = await rejection(open())
    expect(error).toMatchObject({
      ...denied,
      message: expect.stringMatching(remedies[by](operation)),
    })
    expect(textOf(error)).not.toContain(vault.token)
  })

  test('a signature fails as the load would have', async () => {
    const signer = await open()
    vault.deny('sign', by)
    expect(await rejection(signer.sign(input))).toMatchObject({
      ...denied,
      message: expect.stringMatching(remedies[by]('sign')),
    })
  })
})

test.each([
  ['policy', /keys\/sign .*add the key permission "sign" to the vault's access policy$/],
  ['rbac', /keys\/sign .*give it the key permission "sign"/],
  ['hsm', /keys\/sign .*"Managed HSM Crypto User"/],
  ['firewall', /^The network rules of the vault/],
  ['private-link', /keys\/sign/],
] as const)(
  'denied by %s without an inner error, the error still says what to do',
  async (by, what) => {
    vault.deny('sign', by)
    vault.fail('without-inner-error')
    expect(await rejection(open())).toMatchObject({
      ...denied,
      message: expect.stringMatching(what),
    })
  },
)

describe('a credential', () => {
  const failing = (error: unknown): TokenCredential => ({
    getToken: () => Promise.reject(error),
  })
  const named = (name: string, members: object = {}) =>
    Object.assign(new Error(`canary-of-a-credential`), { name, ...members })

  test('whose token is not accepted is refused', async () => {
    const credential = {
      getToken: async () => ({ token: 'wrong', expiresOnTimestamp: Date.now() + 3_600_000 }),
    }
    expect(await rejection(open(credential))).toMatchObject({
      ...denied,
      message: expect.stringMatching(/does not accept the token .*401 Unauthorized/),
    })
  })

  test('that has no token is refused', async () => {
    expect(await rejection(open({ getToken: async () => null }))).toMatchObject(denied)
  })

  test.each([
    [named('CredentialUnavailableError'), 'ERR_SIGNER_ACCESS_DENIED', /not available here/],
    [named('AuthenticationError', { statusCode: 401 }), 'ERR_SIGNER_ACCESS_DENIED', /got no token/],
    [named('AuthenticationRequiredError'), 'ERR_SIGNER_ACCESS_DENIED', /got no token/],
    [named('AggregateAuthenticationError', { errors: [] }), 'ERR_SIGNER_ACCESS_DENIED', /got no/],
    [
      named('AuthenticationError', { statusCode: 503 }),
      'ERR_SIGNER_UNAVAILABLE',
      /failing \(503\)/,
    ],
    [
      named('AuthenticationError', { cause: Object.assign(new Error(), { code: 'ENOTFOUND' }) }),
      'ERR_SIGNER_UNAVAILABLE',
      /^The token service of the credential cannot be reached/,
    ],
  ])('that fails with %s is told from the vault', async (error, code, message) => {
    const refusal = await rejection(open(failing(error)))
    expect(refusal).toMatchObject({ code, message: expect.stringMatching(message), cause: error })
    expect(String(refusal)).not.toContain('canary')
  })

  test('that fails in a way of its own is a failure of the backend, with its error as the cause', async () => {
    const error = new Error('canary-of-a-credential')
    const refusal = await rejection(open(failing(error)))
    expect(refusal).toMatchObject({ code: 'ERR_SIGNER_BACKEND', cause: error })
    expect(String(refusal)).not.toContain('canary')
  })

  test('whose token the vault turns away later fails then as it would have at load', async () => {
    await using own = await startAzureKeyVault()
    const { id: keyId } = own.createKey('agent')
    const signer = await azureKeyVaultSigner({ keyId, ...via(own) })
    own.setToken('another')
    expect(await rejection(signer.sign(input))).toMatchObject(denied)
  })
})
