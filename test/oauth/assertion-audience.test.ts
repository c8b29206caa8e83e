import { assertionProvider, clientAssertion, type Signer, spkiThumbprint } from '@countersign/core'
import {
  type ClientAuthentication,
  clientSecretPost,
  discoverAuthorizationServer,
  externalAssertion,
  type PrivateKeyJwtOptions,
  privateKeyJwt,
  tokenSource,
} from '@countersign/oauth'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import type { ScriptedServer } from '../servers/scripted-server.js'
import { closing, es256Signer, refusal, signaturesOf } from './fixtures.ts'

const bank = 'https://bank.test'
const insecure = { [oauth.allowInsecureRequests]: true }

/** Requests a token from a server without a pinned issuer, as a program does that trusts the resource's metadata. */
async function requestUnpinned(
  server: ScriptedServer,
  authentication: ClientAuthentication,
  parameters: Record<string, string> = {},
) {
  const as = await discoverAuthorizationServer(server.url)
  const client = { client_id: 'agent' }
  await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, insecure)
}

function tokenRequestsOf({ requests }: ScriptedServer): URLSearchParams[] {
  return requests.filter(({ path }) => path === '/token').map(({ form }) => form)
}

function assertionIn(form: URLSearchParams | undefined): string {
  return form?.get('client_assertion') ?? ''
}

type Make = (signer: Signer, own: string) => ClientAuthentication

function external(audience: (asked: string) => unknown): Make {
  return (signer) =>
    externalAssertion(async (asked) => {
      const aud = audience(asked)
      if (typeof aud === 'string')
        return clientAssertion(signer, { clientId: 'agent', audience: aud })
      const assertion = await clientAssertion(signer, { clientId: 'agent', audience: asked })
      const [header, , signature] = assertion.split('.')
      const payload = Buffer.from(JSON.stringify({ sub: 'agent', aud })).toString('base64url')
      return `${header}.${payload}.${signature}`
    })
}

const forAnotherServer: [string, Make][] = [
  [
    'the issuer of another server as audience',
    (signer) => privateKeyJwt(signer, { audience: bank }),
  ],
  [
    'the token endpoint of another server',
    (signer) => privateKeyJwt(signer, { audience: `${bank}/token` }),
  ],
  [
    'its token endpoint with an additional slash',
    (signer, own) => privateKeyJwt(signer, { audience: `${own}/token/` }),
  ],
  [
    'its issuer with an additional path',
    (signer, own) => privateKeyJwt(signer, { audience: `${own}/tenant` }),
  ],
  ['an empty audience', (signer) => privateKeyJwt(signer, { audience: '' })],
  ['an external assertion for another server', external(() => bank)],
  ['an external assertion for itself and another server', external((asked) => [asked, bank])],
  ['an external assertion without an audience', external(() => undefined)],
  ['an external assertion for an empty list', external(() => [])],
  ['an external assertion for an object', external((asked) => ({ 0: asked, length: 1 }))],
  ['an opaque assertion', () => externalAssertion(() => 'opaque.opaque.opaque')],
  ['an assertion with a payload of null', () => externalAssertion(() => 'e30.bnVsbA.e30')],
]

describe('without a pinned issuer, a hostile server gets no assertion that has', () => {
  it.each(forAnotherServer)('%s', async (what, make) => {
    const server = closing(await startScriptedAuthorizationServer())
    const authentication = make(await es256Signer(), server.url)
    const signatures = await signaturesOf(async () => {
      const error = await refusal(() => requestUnpinned(server, authentication))
      expect(error).toMatchObject({ code: 'ERR_OAUTH_AUDIENCE', retryable: false })
      expect(error.message).toContain(server.url)
      expect(error.message).toContain('Pin the issuer')
    })
    if (!what.includes('external')) expect(signatures).toEqual([])
    expect(server.credentials).toEqual([])
    expect(tokenRequestsOf(server)).toEqual([])
  })

  it.each([`${bank}/token`, 'token_endpoint'])(
    "another server's token endpoint, which its metadata names: %s",
    async (audience) => {
      // The other server would grant a token, which would then be sent to the hostile resource.
      const server = closing(
        await startScriptedAuthorizationServer({ metadata: { token_endpoint: `${bank}/token` } }),
      )
      const as = await discoverAuthorizationServer(server.url)
      const authentication = privateKeyJwt(await es256Signer(), { audience })
      const signatures = await signaturesOf(async () => {
        const send = () =>
          authentication(as, { client_id: 'agent' }, new URLSearchParams(), new Headers())
        expect((await refusal(send)).code).toBe('ERR_OAUTH_AUDIENCE')
      })
      expect(signatures).toEqual([])
    },
  )
})

it('without a pinned issuer, an issuer that is not a URL gets no assertion for its token endpoint', async () => {
  const as = {
    issuer: 'bank',
    token_endpoint: 'https://as.test/token',
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
  }
  const authentication = privateKeyJwt(await es256Signer(), { audience: 'token_endpoint' })
  const send = () =>
    authentication(as, { client_id: 'agent' }, new URLSearchParams(), new Headers())
  expect((await refusal(send)).code).toBe('ERR_OAUTH_AUDIENCE')
})

const forThisServer: [string, Make, (own: string) => unknown][] = [
  ['its issuer', (signer) => privateKeyJwt(signer), (own) => own],
  [
    'its issuer, as an option',
    (signer, own) => privateKeyJwt(signer, { audience: own }),
    (own) => own,
  ],
  [
    'its issuer with the slash of a URL',
    (signer, own) => privateKeyJwt(signer, { audience: `${own}/` }),
    (own) => `${own}/`,
  ],
  [
    "'token_endpoint'",
    (signer) => privateKeyJwt(signer, { audience: 'token_endpoint' }),
    (own) => `${own}/token`,
  ],
  [
    'its token endpoint, as an option',
    (signer, own) => privateKeyJwt(signer, { audience: `${own}/token` }),
    (own) => `${own}/token`,
  ],
  [
    'its issuer, in an external assertion',
    (signer) => externalAssertion(assertionProvider(signer, { clientId: 'agent' })),
    (own) => own,
  ],
  [
    'its token endpoint, in an external assertion',
    external((asked) => `${asked}/token`),
    (own) => `${own}/token`,
  ],
  [
    'a list of both, in an external assertion',
    external((asked) => [asked, `${asked}/token`]),
    (own) => [own, `${own}/token`],
  ],
]

it.each(forThisServer)(
  'without a pinned issuer, a server gets an assertion for %s',
  async (_what, make, audience) => {
    const server = closing(await startScriptedAuthorizationServer())
    await requestUnpinned(server, make(await es256Signer(), server.url))
    const [form] = tokenRequestsOf(server)
    expect(decodeJwt(assertionIn(form)).aud).toEqual(audience(server.url))
  },
)

describe('with a pinned issuer', () => {
  const anyAudience: [string, (signer: Signer, issuer?: string) => ClientAuthentication][] = [
    ['privateKeyJwt', (signer, issuer) => privateKeyJwt(signer, { audience: bank, issuer })],
    ['externalAssertion', (_signer, issuer) => externalAssertion(() => 'a.b.c', { issuer })],
  ]

  it.each(anyAudience)('%s sends any audience to that issuer', async (_name, make) => {
    const server = closing(await startScriptedAuthorizationServer())
    await requestUnpinned(server, make(await es256Signer(), server.url))
    const authentication = make(await es256Signer())
    await tokenSource({ issuer: server.url, clientId: 'agent', authentication }).token()
    const as = await discoverAuthorizationServer(server.url)
    const body = new URLSearchParams()
    const options = { issuer: server.url }
    await authentication(as, { client_id: 'agent' }, body, new Headers(), options)
    for (const form of [...tokenRequestsOf(server), body]) expect(assertionIn(form)).not.toBe('')
  })

  it.each(anyAudience)('%s refuses another issuer', async (_name, make) => {
    const server = closing(await startScriptedAuthorizationServer())
    const signer = await es256Signer()
    const as = await discoverAuthorizationServer(server.url)
    const send = (own: ClientAuthentication, issuer?: string) =>
      own(as, { client_id: 'agent' }, new URLSearchParams(), new Headers(), { issuer })
    const signatures = await signaturesOf(async () => {
      for (const attempt of [
        () => send(make(signer, bank)),
        () => send(make(signer), bank),
        () => send(make(signer, bank), server.url),
        () => send(make(signer, server.url), bank),
      ]) {
        expect((await refusal(attempt)).code).toBe('ERR_OAUTH_ISSUER_MISMATCH')
      }
    })
    expect(signatures).toEqual([])
    expect(server.credentials).toEqual([])
  })
})

describe('client_id in the body', () => {
  async function bodyOf(
    make: (signer: Signer) => ClientAuthentication,
    parameters: Record<string, string> = {},
  ): Promise<URLSearchParams | undefined> {
    const server = closing(await startScriptedAuthorizationServer())
    await requestUnpinned(server, make(await es256Signer()), parameters)
    return tokenRequestsOf(server)[0]
  }
  const assertion = (signer: Signer) => assertionProvider(signer, { clientId: 'agent' })

  it('is left out without the option', async () => {
    const without = [
      await bodyOf(privateKeyJwt),
      await bodyOf((signer) => externalAssertion(assertion(signer))),
    ]
    for (const body of without) expect(body?.has('client_id')).toBe(false)
    const clientIdInBody = true
    const withOption = [
      await bodyOf((signer) => privateKeyJwt(signer, { clientIdInBody })),
      await bodyOf((signer) => externalAssertion(assertion(signer), { clientIdInBody })),
    ]
    for (const body of withOption) expect(body?.get('client_id')).toBe('agent')
  })

  it('stays if the library or the caller has set it', async () => {
    const parameters = { client_id: 'of-the-caller' }
    const stayed = [
      await bodyOf(privateKeyJwt, parameters),
      await bodyOf((signer) => externalAssertion(assertion(signer)), parameters),
    ]
    for (const body of stayed) expect(body?.get('client_id')).toBe('of-the-caller')
  })

  it('stays in a device authorization request of oauth4webapi, which needs it', async () => {
    const server: ScriptedServer = closing(
      await startScriptedAuthorizationServer({
        metadata: (url) => ({ device_authorization_endpoint: `${url}/device` }),
      }),
    )
    const as = await discoverAuthorizationServer(server.url)
    const client = { client_id: 'agent' }
    const authentication = privateKeyJwt(await es256Signer())
    await oauth.deviceAuthorizationRequest(as, client, authentication, {}, insecure)
    const request = server.requests.find(({ path }) => path === '/device')
    expect(request?.form.get('client_id')).toBe('agent')
    expect(assertionIn(request?.form)).not.toBe('')
  })
})

describe('the header of an assertion', () => {
  async function headerOf(options: (signer: Signer) => PrivateKeyJwtOptions) {
    const server = closing(await startScriptedAuthorizationServer())
    const signer = await es256Signer()
    await requestUnpinned(server, privateKeyJwt(signer, options(signer)))
    return {
      signer,
      header: decodeProtectedHeader(assertionIn(tokenRequestsOf(server)[0])),
    }
  }

  it('has the type and the key ID of the options, or no key ID', async () => {
    const typed = await headerOf(() => ({ typ: 'JWT', kid: 'my-key' }))
    expect(typed.header).toEqual({ alg: 'ES256', typ: 'JWT', kid: 'my-key' })
    const certified = await headerOf(() => ({ kid: spkiThumbprint }))
    expect(certified.header.kid).toBe(spkiThumbprint(certified.signer.publicJwk))
    const { header } = await headerOf(() => ({ kid: null }))
    expect(header).toEqual({ alg: 'ES256', typ: 'client-authentication+jwt' })
  })
})

it('a polluted prototype pins no issuer, and changes no audience or scope', async () => {
  const server = closing(await startScriptedAuthorizationServer())
  const signer = await es256Signer()
  const prototype = Object.prototype as { issuer?: string; audience?: string; scope?: string }
  prototype.issuer = server.url
  prototype.audience = bank
  prototype.scope = 'admin'
  try {
    const authentication = privateKeyJwt(signer)
    const as = await discoverAuthorizationServer(server.url)
    const body = new URLSearchParams()
    await authentication(as, { client_id: 'agent' }, body, new Headers(), {})
    expect(decodeJwt(assertionIn(body)).aud).toBe(server.url)
    await tokenSource({ issuer: server.url, clientId: 'agent', authentication }).token()
    expect(tokenRequestsOf(server)[0]?.has('scope')).toBe(false)
    prototype.issuer = bank
    await clientSecretPost('secret')(as, { client_id: 'agent' }, body, new Headers())
    expect(body.get('client_secret')).toBe('secret')
  } finally {
    delete prototype.issuer
    delete prototype.audience
    delete prototype.scope
  }
})
