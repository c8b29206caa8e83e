import { clientSecretBasic, discoverAuthorizationServer, tokenSource } from '@countersign/oauth'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import {
  startScriptedAuthorizationServer,
  startWithoutMetadata,
} from '../servers/hostile-authorization-server.js'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'
import { truncatedJson } from '../servers/token-responses.js'
import { closing, refusal, startClock, thrown } from './fixtures.ts'
import { numberedTokens, startTokenSource } from './servers.ts'

const authentication = clientSecretBasic('secret')
const methods = { token_endpoint_auth_methods_supported: ['client_secret_basic'] }

function discoveries({ requests }: ScriptedServer): number {
  return requests.filter(({ path }) => path.includes('/.well-known/')).length
}

describe('metadata', () => {
  it('is fetched once in an hour, however many tokens are', async () => {
    const { source, as, clock, tokenRequests } = await startTokenSource()
    const fetched: number[] = []
    for (let minute = 0; minute < 122; minute += 10) {
      source.invalidate(await source.token())
      fetched.push(discoveries(as))
      clock.advance(600)
    }
    expect(fetched).toEqual([1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3])
    expect(tokenRequests()).toHaveLength(13)
  })

  it('is fetched again after an hour by the monotonic clock, although the wall clock was set back', async () => {
    const { source, as, clock } = await startTokenSource()
    source.invalidate(await source.token())
    clock.advance(-86_400)
    const real = performance.now.bind(performance)
    const monotonic = vi.spyOn(performance, 'now').mockImplementation(() => real() + 3_600_000)
    onTestFinished(() => monotonic.mockRestore())
    await source.token()
    expect(discoveries(as)).toBe(2)
  })

  it('that is given is used for its lifetime, and then fetched', async () => {
    const { as } = await startTokenSource()
    const clock = startClock()
    const metadata = { issuer: as.url, token_endpoint: `${as.url}/token`, ...methods }
    const source = tokenSource({
      issuer: as.url,
      clientId: 'agent',
      authentication,
      metadata,
      metadataLifetimeSeconds: 60,
      now: clock.now,
    })
    for (const fetched of [0, 0, 1, 1]) {
      source.invalidate(await source.token())
      expect(discoveries(as)).toBe(fetched)
      clock.advance(30)
    }
  })

  it('that is given, because the server publishes none, is used on after its lifetime', async () => {
    const as = closing(await startWithoutMetadata(numberedTokens()))
    const clock = startClock()
    const metadata = { issuer: as.url, token_endpoint: `${as.url}/token`, ...methods }
    const options = { issuer: as.url, clientId: 'agent', authentication, metadata }
    const source = tokenSource({ ...options, now: clock.now })
    expect(await source.token()).toBe('token-1')
    clock.advance(7200)
    expect(await source.token()).toBe('token-2')
  })

  it('is fetched anew after an answer that no token endpoint gives, since it may have moved', async () => {
    const moved = closing(await startScriptedServer(numberedTokens()))
    const as: ScriptedServer = closing(
      await startScriptedAuthorizationServer({
        metadata: (url) => ({
          token_endpoint: discoveries(as) > 1 ? `${moved.url}/token` : `${url}/token`,
        }),
        token: truncatedJson,
      }),
    )
    const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication })
    expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_INVALID_RESPONSE')
    expect(await source.token()).toBe('token-1')
  })

  it('that changes its issuer is refused when it is fetched anew', async () => {
    let issuer: string | undefined
    const as = closing(
      await startScriptedAuthorizationServer({ metadata: (url) => ({ issuer: issuer ?? url }) }),
    )
    const clock = startClock()
    const source = tokenSource({
      issuer: as.url,
      clientId: 'agent',
      authentication,
      now: clock.now,
    })
    await source.token()
    issuer = 'https://honest.test'
    clock.advance(3600)
    expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_ISSUER_MISMATCH')
    expect(as.credentials).toHaveLength(1)
  })

  it.each([0, -1, Number.NaN, '60'])('cannot be kept for %j seconds', (value) => {
    const options = { metadataLifetimeSeconds: value as number }
    const make = () =>
      tokenSource({ issuer: 'https://as.test', clientId: 'agent', authentication, ...options })
    expect(make).toThrow(TypeError)
  })
})

describe('the metadata of an issuer with a path', () => {
  it('is found where oidc-provider publishes it', async () => {
    const as = closing(await startAuthorizationServer({ path: '/tenant' }))
    expect(await discoverAuthorizationServer(as.issuer)).toMatchObject(as.metadata)
  })

  it.each([
    ['/.well-known/oauth-authorization-server/tenant', 1],
    ['/.well-known/openid-configuration/tenant', 2],
    ['/tenant/.well-known/openid-configuration', 3],
  ])('is found at %s, after %i requests', async (location, requests) => {
    const server: ScriptedServer = closing(
      await startScriptedServer(({ path }) =>
        path === location
          ? Response.json({ issuer: `${server.url}/tenant`, token_endpoint: server.url })
          : new Response(null, { status: 404 }),
      ),
    )
    const issuer = `${server.url}/tenant`
    expect(await discoverAuthorizationServer(issuer)).toMatchObject({ issuer })
    expect(server.requests).toHaveLength(requests)
  })
})

describe('discovery', () => {
  it.each([
    ['', '/'],
    ['/', ''],
  ])('takes an issuer with %j after its host for the one with %j', async (asked, stated) => {
    const as = closing(
      await startScriptedAuthorizationServer({ metadata: (url) => ({ issuer: url + stated }) }),
    )
    const found = await discoverAuthorizationServer(as.url + asked)
    expect(found.issuer).toBe(as.url + stated)
  })

  it.each([
    ['a slash more', (url: string) => `${url}/tenant/`],
    ['other letters', (url: string) => `${url}/TENANT`],
    ['a letter encoded', (url: string) => `${url}/%74enant`],
    ['dots on the way', (url: string) => `${url}/x/../tenant`],
    ['an empty query', (url: string) => `${url}/tenant?`],
    ['a scheme in capitals', (url: string) => `${url.replace('http', 'HTTP')}/tenant`],
  ])('does not take an issuer for the one with %s', async (_what, stated) => {
    const server: ScriptedServer = closing(
      await startScriptedServer(() => Response.json({ issuer: stated(server.url) })),
    )
    const discovering = () => discoverAuthorizationServer(`${server.url}/tenant`)
    expect((await refusal(discovering)).code).toBe('ERR_OAUTH_ISSUER_MISMATCH')
  })

  it('rejects with the very reason of a signal that aborts', async () => {
    const server = closing(await startScriptedServer(() => () => {}))
    const controller = new AbortController()
    const reason = new Error('enough')
    const options = { signal: controller.signal }
    const caught = thrown(() => discoverAuthorizationServer(server.url, options))
    controller.abort(reason)
    expect(await caught).toBe(reason)
  })

  it('names a deadline of the caller as one', async () => {
    const server = closing(await startScriptedServer(() => () => {}))
    const options = { signal: AbortSignal.timeout(50) }
    const error = await refusal(() => discoverAuthorizationServer(server.url, options))
    expect(error.code).toBe('ERR_OAUTH_TIMEOUT')
  })
})
