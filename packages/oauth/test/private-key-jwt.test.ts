import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import { externalAssertion, type PrivateKeyJwtOptions, privateKeyJwt } from '@countersign/oauth'
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { es256Signer, metadata, signaturesOf } from './fixtures.ts'

const MISMATCH = 'ERR_OAUTH_ISSUER_MISMATCH'
const INSECURE = 'ERR_OAUTH_INSECURE_ENDPOINT'
const DISCOVERY = 'ERR_OAUTH_DISCOVERY'
const METHOD = 'ERR_OAUTH_METHOD_NOT_ADVERTISED'
const ALG = 'ERR_OAUTH_ALG_NOT_ADVERTISED'

const methods = 'token_endpoint_auth_methods_supported'
const algs = 'token_endpoint_auth_signing_alg_values_supported'

const client = { client_id: 'agent' }
// Loaded before signatures are counted, because loading a key makes one.
const signer = await es256Signer()

async function assertionOf(options: PrivateKeyJwtOptions, changes: Record<string, unknown> = {}) {
  const body = new URLSearchParams()
  const authentication = privateKeyJwt(signer, options)
  await authentication(metadata(changes), client, body, new Headers())
  return body.get('client_assertion') ?? ''
}

describe('an assertion', () => {
  it('has the issuer as its audience, expires after a minute, and verifies with the public key', async () => {
    const body = new URLSearchParams()
    await privateKeyJwt(signer)(metadata(), client, body, new Headers())
    expect([...body.keys()].sort()).toEqual(['client_assertion', 'client_assertion_type'])
    const key = await importJWK({ ...signer.publicJwk })
    const { payload, protectedHeader } = await jwtVerify(body.get('client_assertion') ?? '', key)
    expect(protectedHeader).toEqual({
      alg: 'ES256',
      kid: signer.kid,
      typ: 'client-authentication+jwt',
    })
    const { iat = 0 } = payload
    expect(payload).toEqual({
      iss: 'agent',
      sub: 'agent',
      aud: 'https://as.test',
      iat,
      exp: iat + 60,
      jti: expect.stringMatching(/^[\w-]{22}$/),
    })
    expect(iat).toBeLessThanOrEqual(Date.now() / 1000)
  })

  it('has the members from the options', async () => {
    const assertion = await assertionOf({
      audience: 'https://as.test/token',
      claims: { tenant: 7 },
      header: { 'x5t#S256': 'abc' },
      lifetimeSeconds: 10,
      typ: 'JWT',
      now: () => 1_000_000,
    })
    expect(decodeProtectedHeader(assertion)).toMatchObject({ typ: 'JWT', 'x5t#S256': 'abc' })
    expect(decodeJwt(assertion)).toMatchObject({
      aud: 'https://as.test/token',
      tenant: 7,
      iat: 1000,
      exp: 1010,
    })
  })

  it.each(['https://as.test', 'https://as.test/'])(
    'is made for the pinned issuer %s',
    async (issuer) => {
      expect(decodeJwt(await assertionOf({ issuer })).aud).toBe('https://as.test')
    },
  )
})

describe('no signature is made', () => {
  it.each([
    ['for another issuer than the pinned one', {}, { issuer: 'https://honest.test' }, MISMATCH],
    [
      'for an issuer with the pinned one as prefix',
      {},
      { issuer: 'https://as.test.honest.test' },
      MISMATCH,
    ],
    [
      'for a pin, when the metadata names no issuer',
      { issuer: undefined },
      { issuer: 'https://as.test' },
      MISMATCH,
    ],
    ['for a token endpoint on http', { token_endpoint: 'http://as.test/token' }, {}, INSECURE],
    ['without a token endpoint', { token_endpoint: undefined }, {}, DISCOVERY],
    ['for a server that lists other methods', { [methods]: ['none'] }, {}, METHOD],
    ['for a server that lists no methods', { [methods]: undefined }, {}, METHOD],
    ['for a server whose methods are a string', { [methods]: 'private_key_jwt' }, {}, DISCOVERY],
    ['for a server that lists other algorithms', { [algs]: ['RS256'] }, {}, ALG],
    ['for a server whose algorithms are a string', { [algs]: 'ES256K' }, {}, DISCOVERY],
    [
      'for a server whose algorithms are not strings',
      { [algs]: [{ toString: 1, valueOf: 1 }, null, 7] },
      {},
      DISCOVERY,
    ],
  ] as [string, Record<string, unknown>, PrivateKeyJwtOptions, string][])(
    '%s',
    async (_what, changes, options, code) => {
      const signatures = await signaturesOf(async () => {
        await expect(assertionOf(options, changes)).rejects.toMatchObject({ code })
      })
      expect(signatures).toBe(0)
    },
  )

  it('except without a list of algorithms, when a signature is made', async () => {
    for (const nothing of [undefined, null]) {
      const changes = { [algs]: nothing }
      expect(await signaturesOf(() => assertionOf({}, changes))).toBe(1)
    }
  })

  it('for a server that lists the algorithm by another name, which the message says', async () => {
    const changes = { [algs]: ['EdDSA'] }
    const { privateKey } = generateKeyPairSync('ed25519')
    const ed25519 = await localSigner({ key: privateKey, alg: 'Ed25519' })
    const asked = privateKeyJwt(ed25519)(
      metadata(changes),
      client,
      new URLSearchParams(),
      new Headers(),
    )
    await expect(asked).rejects.toThrow(/alg: 'EdDSA'/)
  })
})

describe('an authentication', () => {
  it('is frozen, and names its method and algorithm', async () => {
    const authentication = privateKeyJwt(signer)
    expect(Object.isFrozen(authentication)).toBe(true)
    expect([authentication.method, authentication.alg]).toEqual(['private_key_jwt', 'ES256'])
  })

  it.each([undefined, null, {}, 'pem'])('cannot be made from %j', (source) => {
    expect(() => privateKeyJwt(source as never)).toThrow(TypeError)
    expect(() => externalAssertion(source as never)).toThrow(TypeError)
  })

  it('rejects with the reason of the signal', async () => {
    const signal = AbortSignal.abort('enough')
    const authentication = privateKeyJwt(signer)
    const [body, headers] = [new URLSearchParams(), new Headers()]
    await expect(authentication(metadata(), client, body, headers, { signal })).rejects.toBe(
      'enough',
    )
    expect([...body]).toEqual([])
  })
})
