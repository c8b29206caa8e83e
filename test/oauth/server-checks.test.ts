import { authorizationGrant, type Signer } from '@countersign/core'
import {
  clientSecretBasic,
  clientSecretPost,
  externalAssertion,
  privateKeyJwt,
  tokenSource,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import {
  startAcceptingOnly,
  startIssuerMixUp,
  startIssuerThief,
  startPlainHttpTokenEndpoint,
  startScriptedAuthorizationServer,
  startSilentAboutAuthentication,
  startWithoutMetadata,
  startWithoutPrivateKeyJwt,
} from '../servers/hostile-authorization-server.js'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'
import { closing, es256Signer, refusal, signaturesOf } from './fixtures.ts'

type Start = () => Promise<ScriptedServer>

function withMetadata(metadata: Record<string, unknown>): Start {
  return () => startScriptedAuthorizationServer({ metadata })
}

function answering(body: string, init?: ResponseInit): Start {
  return () => startScriptedServer(() => new Response(body, init))
}

const MISMATCH = 'ERR_OAUTH_ISSUER_MISMATCH'
const INSECURE = 'ERR_OAUTH_INSECURE_ENDPOINT'
const DISCOVERY = 'ERR_OAUTH_DISCOVERY'
const METHOD = 'ERR_OAUTH_METHOD_NOT_ADVERTISED'
const ALG = 'ERR_OAUTH_ALG_NOT_ADVERTISED'

const methods = 'token_endpoint_auth_methods_supported'
const algs = 'token_endpoint_auth_signing_alg_values_supported'

/** Servers that must get no credentials. */
const refused: [string, Start, string][] = [
  [
    'has the issuer of another server in its metadata',
    () => startIssuerThief('https://honest.test'),
    MISMATCH,
  ],
  ['has another issuer of its host in its metadata', startIssuerMixUp, MISMATCH],
  ['has an issuer that is not a string', withMetadata({ issuer: 7 }), DISCOVERY],
  ['has its token endpoint on http and not on loopback', startPlainHttpTokenEndpoint, INSECURE],
  [
    'has its token endpoint at a name below localhost',
    withMetadata({ token_endpoint: 'http://evil.localhost/token' }),
    INSECURE,
  ],
  [
    'has its token endpoint at a name that begins like a loopback address',
    withMetadata({ token_endpoint: 'http://127.0.0.1.evil.test/token' }),
    INSECURE,
  ],
  [
    'has credentials in its token endpoint',
    withMetadata({ token_endpoint: 'https://user:pass@as.test/token' }),
    INSECURE,
  ],
  [
    'has a file URL as its token endpoint',
    withMetadata({ token_endpoint: 'file:///etc/passwd' }),
    INSECURE,
  ],
  ['has no token endpoint', withMetadata({ token_endpoint: undefined }), DISCOVERY],
  [
    'has a token endpoint that is not a URL',
    withMetadata({ token_endpoint: { href: 'https://as.test' } }),
    DISCOVERY,
  ],
  ['lists no method', withMetadata({ [methods]: [] }), METHOD],
  [
    'has a string as its list of methods',
    withMetadata({ [methods]: 'not_private_key_jwt client_secret_basic' }),
    DISCOVERY,
  ],
  ['has no metadata', startWithoutMetadata, DISCOVERY],
  [
    'has a web page as its metadata',
    answering('<html>', { headers: { 'content-type': 'text/html' } }),
    DISCOVERY,
  ],
  ['has a list as its metadata', answering('[]'), DISCOVERY],
  ['has null as its metadata', answering('null'), DISCOVERY],
  ['has metadata of 2 MB', withMetadata({ padding: 'x'.repeat(2_000_000) }), DISCOVERY],
]

/** Servers that must get no assertion. */
const refusedAssertions: [string, Start, string][] = [
  ['lists secrets only', startWithoutPrivateKeyJwt, METHOD],
  ['has no list of methods', startSilentAboutAuthentication, METHOD],
  ['lists other algorithms', () => startAcceptingOnly(['RS256', 'PS256', 'EdDSA']), ALG],
  ['lists no algorithm', () => startAcceptingOnly([]), ALG],
  ['has a string as its list of algorithms', withMetadata({ [algs]: 'ES256K' }), DISCOVERY],
]

describe('nothing is signed or sent for a server that', () => {
  it.each([...refused, ...refusedAssertions])('%s', async (_what, start, code) => {
    const as = closing(await start())
    const authentication = privateKeyJwt(await es256Signer())
    const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication })
    const signatures = await signaturesOf(async () => {
      expect(await refusal(() => source.token())).toMatchObject({ code, name: 'OAuthError' })
    })
    expect(signatures).toEqual([])
    expect(as.credentials).toEqual([])
    expect(as.requests.filter(({ method }) => method !== 'GET')).toEqual([])
  })

  it.each([...refused, ...refusedAssertions])(
    '%s, and no grant is signed',
    async (_what, start, code) => {
      const as = closing(await start())
      const signer = await es256Signer()
      const source = tokenSource({
        issuer: as.url,
        clientId: 'agent',
        authentication: privateKeyJwt(signer),
        grant: async ({ issuer }) => ({
          grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          assertion: await grantOf(signer, issuer),
        }),
      })
      const signatures = await signaturesOf(async () => {
        expect(await refusal(() => source.token())).toMatchObject({ code })
      })
      expect(signatures).toEqual([])
    },
  )
})

function grantOf(signer: Signer, audience: string): Promise<string> {
  return authorizationGrant(signer, { issuer: 'https://idp.test', subject: 'alice', audience })
}

describe('no secret and no assertion is requested for a server that', () => {
  it.each(refused)('%s', async (_what, start, code) => {
    const as = closing(await start())
    let asked = 0
    const ask = () => {
      asked += 1
      return 'a.secret.one'
    }
    for (const make of [clientSecretBasic, clientSecretPost, externalAssertion]) {
      const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication: make(ask) })
      expect(await refusal(() => source.token())).toMatchObject({ code })
    }
    expect(asked).toBe(0)
    expect(as.credentials).toEqual([])
  })
})

describe('an authentication that another library calls refuses a server that', () => {
  const direct: [string, Record<string, unknown>, string][] = [
    ['lists other methods', { [methods]: ['tls_client_auth'] }, METHOD],
    ['lists no method', { [methods]: undefined, issuer: 'https://as.test' }, METHOD],
    ['has its token endpoint on http', { token_endpoint: 'http://as.test/token' }, INSECURE],
    [
      'has a file URL as its token endpoint',
      { token_endpoint: 'file://localhost/token' },
      INSECURE,
    ],
    ['has its token endpoint on FTP', { token_endpoint: 'ftp://localhost/token' }, INSECURE],
    ['has a password in it', { token_endpoint: 'https://:pass@as.test/token' }, INSECURE],
    ['has a user name in it', { token_endpoint: 'https://user@as.test/token' }, INSECURE],
    ['has no token endpoint', { token_endpoint: undefined }, DISCOVERY],
  ]

  it.each(direct)('%s', async (what, changes, code) => {
    let asked = 0
    const ask = () => {
      asked += 1
      return 'a.secret.one'
    }
    const signer = await es256Signer()
    const all = [
      privateKeyJwt(signer),
      externalAssertion(ask, { issuer: 'https://as.test' }),
      clientSecretPost(ask),
      clientSecretBasic(ask),
    ]
    const as = {
      issuer: 'https://as.test',
      token_endpoint: 'https://as.test/token',
      [methods]: ['private_key_jwt', 'client_secret_basic', 'client_secret_post'],
      ...changes,
    }
    const signatures = await signaturesOf(async () => {
      // RFC 8414: a server without a list has client_secret_basic.
      for (const authentication of what === 'lists no method' ? all.slice(0, 3) : all) {
        const body = new URLSearchParams()
        const headers = new Headers()
        const send = () => authentication(as, { client_id: 'agent' }, body, headers)
        expect((await refusal(send)).code).toBe(code)
        expect([[...body], [...headers]]).toEqual([[], []])
      }
    })
    expect([asked, signatures]).toEqual([0, []])
  })
})

describe('an issuer', () => {
  it.each([
    'http://as.test',
    'http://192.0.2.1',
    'ftp://as.test',
    'ftp://localhost',
    'https://user:pass@as.test',
    'https://:pass@as.test',
    'https://user@as.test',
    'http://user:pass@127.0.0.1:1',
  ])('%s gets no request for its metadata', async (issuer) => {
    const authentication = clientSecretBasic('secret')
    let requests = 0
    const fetch = async () => {
      requests += 1
      return new Response()
    }
    const source = tokenSource({ issuer, clientId: 'agent', authentication, fetch })
    const error = await refusal(() => source.token())
    expect(error.code).toBe('ERR_OAUTH_INSECURE_ENDPOINT')
    expect(error.message).not.toContain('pass')
    expect(requests).toBe(0)
  })

  it('that is pinned gets the assertion, and no other issuer of a token source does', async () => {
    const as = closing(await startScriptedAuthorizationServer())
    const authentication = privateKeyJwt(await es256Signer(), { issuer: 'https://honest.test' })
    const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication })
    const signatures = await signaturesOf(async () => {
      expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_ISSUER_MISMATCH')
    })
    expect(signatures).toEqual([])
    expect(as.credentials).toEqual([])
  })

  it('other than the one in the given metadata is refused without a request', () => {
    const make = () =>
      tokenSource({
        issuer: 'https://as.test',
        clientId: 'agent',
        authentication: clientSecretBasic('secret'),
        metadata: { issuer: 'https://honest.test', token_endpoint: 'https://as.test/token' },
      })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_OAUTH_ISSUER_MISMATCH' }))
  })

  it('does not have its metadata fetched from the target of a redirect', async () => {
    const elsewhere = closing(await startScriptedAuthorizationServer())
    const redirect = () =>
      Response.redirect(`${elsewhere.url}/.well-known/openid-configuration`, 302)
    const as = closing(await startScriptedServer(redirect))
    const authentication = privateKeyJwt(await es256Signer())
    const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication })
    expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_DISCOVERY')
    expect(elsewhere.requests).toEqual([])
  })
})
