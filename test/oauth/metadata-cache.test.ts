import { clientSecretBasic, tokenSource } from '@countersign/oauth'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  startScriptedAuthorizationServer,
  startWithoutMetadata,
} from '../servers/hostile-authorization-server.js'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'
import { truncatedJson } from '../servers/token-responses.js'
import { closing, refusal, startClock } from './fixtures.ts'
import { numberedTokens, startTokenSource } from './servers.ts'

const authentication = clientSecretBasic('secret')
const methods = { token_endpoint_auth_methods_supported: ['client_secret_basic'] }

function discoveries({ requests }: ScriptedServer): number {
  return requests.filter(({ path }) => path.includes('/.well-known/')).length
}

describe('metadata', () => {
  it('is fetched once an hour for any number of tokens', async () => {
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

  it('is fetched again after an hour by the monotonic clock, even if the wall clock was set back', async () => {
    const { source, as, clock } = await startTokenSource()
    source.invalidate(await source.token())
    clock.advance(-86_400)
    const real = performance.now.bind(performance)
    const monotonic = vi.spyOn(performance, 'now').mockImplementation(() => real() + 3_600_000)
    onTestFinished(() => monotonic.mockRestore())
    await source.token()
    expect(discoveries(as)).toBe(2)
  })

  it('that was given is used for its lifetime, and then fetched', async () => {
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

  it('that was given is used after its lifetime as well if the server publishes none', async () => {
    const as = closing(await startWithoutMetadata(numberedTokens()))
    const clock = startClock()
    const metadata = { issuer: as.url, token_endpoint: `${as.url}/token`, ...methods }
    const options = { issuer: as.url, clientId: 'agent', authentication, metadata }
    const source = tokenSource({ ...options, now: clock.now })
    expect(await source.token()).toBe('token-1')
    clock.advance(7200)
    expect(await source.token()).toBe('token-2')
  })

  it('is fetched again after a malformed token response, since the token endpoint may have moved', async () => {
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
    source.invalidate(await source.token())
    expect(await source.token()).toBe('token-2')
    expect(discoveries(as)).toBe(2)
  })

  it('with another issuer is refused when it is fetched again', async () => {
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

  it.each([0, -1, Number.NaN, '60'])('cannot have a lifetime of %j seconds', (value) => {
    const options = { metadataLifetimeSeconds: value as number }
    const make = () =>
      tokenSource({ issuer: 'https://as.test', clientId: 'agent', authentication, ...options })
    expect(make).toThrow(TypeError)
  })
})
