import { generateKeyPairSync } from 'node:crypto'
import {
  authorizationGrant,
  type RotatingOptions,
  type RotationMessage,
  rotating,
  type Signer,
  SignerError,
} from '@countersign/core'
import { localSigner } from '@countersign/local'
import {
  discoverAuthorizationServer,
  OAuthError,
  privateKeyJwt,
  type TokenSourceOptions,
  tokenSource,
} from '@countersign/oauth'
import { decodeProtectedHeader } from 'jose'
import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import type { ScriptedRequest } from '../servers/scripted-server.js'
import { errorResponse, tokenResponse } from '../servers/token-responses.js'
import {
  closing,
  es256Signer,
  messagesOn,
  refusal,
  renewalsOf,
  signaturesOf,
  thrown,
} from './fixtures.ts'
import { claimsOf, startTokenSource } from './servers.ts'

/** A rotating signer whose name refers to one key, and later to another. */
function vault(first: Signer, options: RotatingOptions = {}) {
  let loads = 0
  let load = async () => first
  const source = closing(
    rotating(async () => {
      loads++
      return load()
    }, options),
  )
  return {
    source,
    name(next: Signer | (() => Promise<Signer>)) {
      load = typeof next === 'function' ? next : async () => next
    },
    get loads() {
      return loads
    },
  }
}

const kidOf = (form: URLSearchParams) =>
  decodeProtectedHeader(form.get('client_assertion') ?? '').kid

/** Grants a token to this key, and answers `invalid_client` to any other. */
const registered =
  ({ kid }: Signer) =>
  ({ form }: ScriptedRequest) =>
    kidOf(form) === kid ? tokenResponse() : errorResponse('invalid_client', { status: 401 })

describe('invalid_client for a rotating signer', () => {
  it('is followed by one load, and one new assertion if there is another key', async () => {
    const [old, next] = [await es256Signer(), await es256Signer()]
    const key = vault(old)
    await key.source.ready()
    key.name(next)
    const fixture = await startTokenSource(registered(next), {
      authentication: privateKeyJwt(key.source),
    })
    const loads: RotationMessage[] = []
    const renewals = await messagesOn('countersign:rotation', loads, () =>
      renewalsOf(() => fixture.source.token()),
    )
    expect(renewals).toMatchObject([{ outcome: 'granted' }])
    expect(loads).toMatchObject([
      { cause: 'refusal', outcome: 'replaced', kid: next.kid, previousKid: old.kid },
    ])
    const [refused, granted, ...others] = fixture.tokenRequests()
    expect(others).toEqual([])
    expect(refused && granted && [kidOf(refused), kidOf(granted)]).toEqual([old.kid, next.kid])
    expect(claimsOf(refused)['jti']).not.toBe(claimsOf(granted)['jti'])
  })

  it('is thrown unchanged when the key is the same, and causes a bounded number of loads', async () => {
    const only = await es256Signer()
    const key = vault(only)
    const description = 'the key is not registered'
    const fixture = await startTokenSource(() => errorResponse('invalid_client', { description }), {
      authentication: privateKeyJwt(key.source),
    })
    for (let call = 0; call < 20; call++) {
      expect(await refusal(() => fixture.source.token())).toMatchObject({
        code: 'ERR_OAUTH_RESPONSE',
        error: 'invalid_client',
        error_description: description,
      })
    }
    expect(key.loads).toBe(2)
    expect(fixture.tokenRequests().length).toBeLessThan(6)
  })

  it('whose load does not end rejects when the signal aborts', async () => {
    const authentication = privateKeyJwt(closing(rotating(() => new Promise<never>(() => {}))))
    const as = closing(await startScriptedAuthorizationServer())
    const metadata = await discoverAuthorizationServer(as.url)
    const controller = new AbortController()
    const { signal } = controller
    const body = new URLSearchParams()
    const waiting = thrown(() =>
      authentication(metadata, { client_id: 'agent' }, body, new Headers(), { signal }),
    )
    controller.abort('enough')
    expect(await waiting).toBe('enough')
  })

  it('is thrown unchanged when the load fails', async () => {
    const key = vault(await es256Signer())
    await key.source.ready()
    key.name(() => Promise.reject(new SignerError('ERR_SIGNER_UNAVAILABLE', 'the vault is down')))
    const authentication = privateKeyJwt(key.source)
    const fixture = await startTokenSource(() => errorResponse('invalid_client'), {
      authentication,
    })
    expect(await refusal(() => fixture.source.token())).toMatchObject({ error: 'invalid_client' })
    expect([key.loads, fixture.tokenRequests().length]).toEqual([2, 1])
  })

  it('is thrown unchanged when an authentication of the caller rejects instead of loading a key', async () => {
    const authenticate = privateKeyJwt(await es256Signer())
    const authentication = Object.assign(
      async (...[as, client, body, headers, options]: Parameters<typeof authenticate>) => {
        await authenticate(as, client, body, headers, options)
        options?.onReplaceable?.(() => Promise.reject(new Error('the vault is down')))
      },
      { method: authenticate.method, alg: authenticate.alg },
    )
    const fixture = await startTokenSource(() => errorResponse('invalid_client'), {
      authentication,
    })
    expect(await refusal(() => fixture.source.token())).toMatchObject({ error: 'invalid_client' })
    expect(fixture.tokenRequests()).toHaveLength(1)
  })

  it('for the successor as well is not followed by another load', async () => {
    const key = vault(await es256Signer())
    await key.source.ready()
    key.name(es256Signer)
    const authentication = privateKeyJwt(key.source)
    const fixture = await startTokenSource(() => errorResponse('invalid_client'), {
      authentication,
    })
    expect(await refusal(() => fixture.source.token())).toMatchObject({ error: 'invalid_client' })
    expect([key.loads, fixture.tokenRequests().length]).toEqual([2, 2])
  })

  it('in many token sources causes one load', async () => {
    const [old, next] = [await es256Signer(), await es256Signer()]
    const key = vault(old)
    await key.source.ready()
    key.name(next)
    const as = closing(await startScriptedAuthorizationServer({ token: registered(next) }))
    const authentication = privateKeyJwt(key.source)
    const sources = Array.from({ length: 20 }, (_, n) =>
      tokenSource({ issuer: as.url, clientId: `agent-${n}`, authentication }),
    )
    await Promise.all(sources.map((source) => source.token()))
    expect(key.loads).toBe(2)
  })

  it('is followed by a timeout when the load does not end', async () => {
    const key = vault(await es256Signer())
    await key.source.ready()
    key.name(() => new Promise(() => {}))
    const fixture = await startTokenSource(() => errorResponse('invalid_client'), {
      authentication: privateKeyJwt(key.source),
      timeoutSeconds: 0.3,
    })
    const error = await refusal(() => fixture.source.token())
    expect(error.code).toBe('ERR_OAUTH_TIMEOUT')
  })

  it('is followed by a new signed grant', async () => {
    const [old, next] = [await es256Signer(), await es256Signer()]
    const key = vault(old)
    await key.source.ready()
    key.name(next)
    const fixture = await startTokenSource(registered(next), {
      authentication: privateKeyJwt(key.source),
      grant: async (as) => ({
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: await authorizationGrant(key.source, {
          issuer: 'https://idp.test',
          subject: 'alice',
          audience: as.issuer,
        }),
      }),
    })
    await fixture.source.token()
    const grants = fixture.tokenRequests().map((form) => form.get('assertion') ?? '')
    expect(grants.map((grant) => decodeProtectedHeader(grant).kid)).toEqual([old.kid, next.kid])
  })

  it.each<[string, () => Response]>([
    ['another error', () => errorResponse('unauthorized_client')],
    ['a response that is not a token response', () => new Response('<html>', { status: 401 })],
    ['a server that is down', () => errorResponse('invalid_client', { status: 503 })],
  ])('is not assumed after %s', async (_what, answer) => {
    const key = vault(await es256Signer())
    await key.source.ready()
    key.name(es256Signer)
    const authentication = privateKeyJwt(key.source)
    const fixture = await startTokenSource(answer, { authentication, retries: 0 })
    expect(OAuthError.is(await refusal(() => fixture.source.token()))).toBe(true)
    expect([key.loads, fixture.tokenRequests().length]).toEqual([1, 1])
  })
})

describe('a key that is disabled', () => {
  it('costs no token request, since its successor signs', async () => {
    const [old, next] = [await es256Signer(), await es256Signer()]
    let disabled = false
    const refusing: Signer = {
      ...old,
      sign: async (octets, options) => {
        if (disabled) throw new SignerError('ERR_SIGNER_KEY_DISABLED', 'the key is disabled')
        return old.sign(octets, options)
      },
    }
    const key = vault(refusing)
    const authentication = privateKeyJwt(key.source)
    const fixture = await startTokenSource(undefined, { authentication })
    fixture.source.invalidate(await fixture.source.token())
    key.name(next)
    disabled = true
    await fixture.source.token()
    expect(fixture.tokenRequests().map(kidOf)).toEqual([old.kid, next.kid])
  })
})

describe('a successor with another algorithm', () => {
  const ed25519 = () => localSigner({ key: generateKeyPairSync('ed25519').privateKey })
  const metadata = { token_endpoint_auth_signing_alg_values_supported: ['ES256'] }

  async function fixture(first: Signer, options: Partial<TokenSourceOptions> = {}) {
    const as = closing(await startScriptedAuthorizationServer({ metadata }))
    const key = vault(first)
    await key.source.ready()
    const authentication = privateKeyJwt(key.source)
    const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication, ...options })
    return { as, key, authentication, source }
  }

  it('is refused if the server does not list it', async () => {
    const { as, key, authentication, source } = await fixture(await es256Signer())
    expect(authentication.alg).toBe('ES256')
    source.invalidate(await source.token())
    key.name(ed25519)
    await key.source.reload()
    expect(authentication.alg).toBe('EdDSA')
    const signatures = await signaturesOf(async () => {
      const error = await refusal(() => source.token())
      expect(error.code).toBe('ERR_OAUTH_ALG_NOT_ADVERTISED')
    })
    expect([signatures, as.credentials.length]).toEqual([[], 1])
  })

  it('is refused during a request as well', async () => {
    const old = await es256Signer()
    const gone = new SignerError('ERR_SIGNER_KEY_NOT_FOUND', 'no such key')
    const { as, key, source } = await fixture({ ...old, sign: () => Promise.reject(gone) })
    key.name(ed25519)
    const error = await refusal(() => source.token())
    expect([error.code, as.credentials.length]).toEqual(['ERR_OAUTH_ALG_NOT_ADVERTISED', 0])
  })

  it('is used if the server lists it and did not list its predecessor', async () => {
    const { as, key, source } = await fixture(await ed25519())
    key.name(es256Signer)
    await key.source.reload()
    await source.token()
    expect(as.credentials).toHaveLength(1)
  })
})

describe('an authentication by a rotating signer', () => {
  it('has no algorithm before the key is loaded, and is checked when it is', async () => {
    const signer = await es256Signer()
    let finish = (_signer: Signer) => {}
    const source = closing(rotating(() => new Promise((resolve) => (finish = resolve))))
    const authentication = privateKeyJwt(source)
    expect(authentication.alg).toBeUndefined()
    const metadata = { token_endpoint_auth_signing_alg_values_supported: ['RS256'] }
    const as = closing(await startScriptedAuthorizationServer({ metadata }))
    const asking = refusal(() =>
      tokenSource({ issuer: as.url, clientId: 'agent', authentication }).token(),
    )
    finish(signer)
    expect((await asking).code).toBe('ERR_OAUTH_ALG_NOT_ADVERTISED')
    expect([as.credentials.length, authentication.alg]).toEqual([0, 'ES256'])
  })

  it('loads no key for a server that does not list private_key_jwt', async () => {
    const down = new SignerError('ERR_SIGNER_UNAVAILABLE', 'the vault is down')
    const key = vault(await es256Signer())
    key.name(() => Promise.reject(down))
    const metadata = { token_endpoint_auth_methods_supported: ['client_secret_basic'] }
    const as = closing(await startScriptedAuthorizationServer({ metadata }))
    const authentication = privateKeyJwt(key.source)
    const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication })
    expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_METHOD_NOT_ADVERTISED')
  })

  it('is a ClientAuth of oauth4webapi, and uses the current key', async () => {
    const [old, next] = [await es256Signer(), await es256Signer()]
    const key = vault(old)
    const as = closing(await startScriptedAuthorizationServer())
    const metadata = {
      issuer: as.url,
      token_endpoint: `${as.url}/token`,
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
    }
    const authentication = privateKeyJwt(key.source)
    const request = () =>
      oauth.clientCredentialsGrantRequest(
        metadata,
        { client_id: 'agent' },
        authentication,
        {},
        {
          [oauth.allowInsecureRequests]: true,
        },
      )
    await request()
    key.name(next)
    await key.source.reload()
    await request()
    expect(as.requests.map(({ form }) => kidOf(form))).toEqual([old.kid, next.kid])
  })
})
