import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startScriptedServer } from '../servers/scripted-server.js'
import { tokenResponse } from '../servers/token-responses.js'
import { closing, es256Signer, refusal } from './fixtures.ts'
import { numberedTokens, startObservedTokenSource, startTokenSource } from './servers.ts'

/** `expires_in`, and the seconds after which a renewal starts, and a caller has to wait for one. */
const lifetimes: [unknown, number, number][] = [
  [100_000, 99_700, 99_995],
  [3600, 3300, 3595],
  [100, 80, 95],
  [10, 8, 9],
  ['100', 80, 95],
  [0.5, 8, 9],
  [0, 8, 9],
]

const noRediscovery = { metadataLifetimeSeconds: Number.POSITIVE_INFINITY }

describe.each(lifetimes)('a token with expires_in %j', (expires_in, renewAfter, waitAfter) => {
  it(`is renewed in the background after ${renewAfter} s`, async () => {
    const { getToken, clock } = await startObservedTokenSource(
      numberedTokens({ expires_in }),
      noRediscovery,
    )
    await getToken()
    clock.advance(renewAfter - 0.01)
    expect(await getToken()).toEqual({ token: 'token-1', renewal: undefined })
    clock.advance(0.02)
    expect(await getToken()).toMatchObject({ token: 'token-1', renewal: { background: true } })
  })

  it(`is waited for after ${waitAfter} s`, async () => {
    const { getToken, clock } = await startObservedTokenSource(
      numberedTokens({ expires_in }),
      noRediscovery,
    )
    await getToken()
    clock.advance(waitAfter + 0.01)
    expect(await getToken()).toMatchObject({ token: 'token-2', renewal: { background: false } })
  })
})

describe('a token', () => {
  it.each([undefined, 1e300])(
    'with expires_in %j is used until it is invalidated',
    async (value) => {
      const { source, clock } = await startTokenSource(numberedTokens({ expires_in: value }))
      const response = await source.tokenResponse()
      expect(response.access_token).toBe('token-1')
      expect(response.expires_in).toBe(value)
      clock.advance(1e9)
      expect(await source.token()).toBe('token-1')
      source.invalidate('token-1')
      expect(await source.token()).toBe('token-2')
    },
  )

  it.each([0, 0.001, 1])(
    'with expires_in %j does not cause a request at each call',
    async (expires_in) => {
      const { source, clock, tokenRequests } = await startTokenSource(
        numberedTokens({ expires_in }),
      )
      for (let call = 0; call < 600; call += 1) {
        await source.token()
        clock.advance(0.1)
      }
      expect(tokenRequests().length).toBeGreaterThan(5)
      expect(tokenRequests().length).toBeLessThanOrEqual(8)
      expect((await source.tokenResponse()).expires_in).toBeLessThanOrEqual(1)
    },
  )

  it.each([0, -1, Number.NaN])(
    'that was given, with expires_in %j, is used for ten seconds',
    async (expires_in) => {
      const tokenResponse = { access_token: 'given', token_type: 'bearer', expires_in }
      const { source, clock, as } = await startTokenSource(undefined, { tokenResponse })
      expect(await source.tokenResponse()).toMatchObject({ access_token: 'given', expires_in: 0 })
      expect(as.requests).toEqual([])
      clock.advance(10)
      expect(await source.token()).toBe('token-1')
    },
  )

  it('that is an hour old by the monotonic clock has expired, even if the wall clock was set back', async () => {
    const { source, clock, tokenRequests } = await startTokenSource(
      numberedTokens({ expires_in: 300 }),
    )
    expect(await source.token()).toBe('token-1')
    clock.advance(-86_400)
    expect(await source.token()).toBe('token-1')
    const real = performance.now.bind(performance)
    const monotonic = vi.spyOn(performance, 'now').mockImplementation(() => real() + 3_600_000)
    onTestFinished(() => monotonic.mockRestore())
    expect(await source.token()).toBe('token-2')
    expect((await source.tokenResponse()).expires_in).toBeGreaterThan(290)
    expect(tokenRequests()).toHaveLength(2)
  })

  it('that was obtained while the wall clock was a day ahead expires on time', async () => {
    const { source, clock } = await startTokenSource(numberedTokens({ expires_in: 300 }))
    clock.advance(86_400)
    expect(await source.token()).toBe('token-1')
    clock.advance(-86_400)
    const real = performance.now.bind(performance)
    const monotonic = vi.spyOn(performance, 'now').mockImplementation(() => real() + 300_000)
    onTestFinished(() => monotonic.mockRestore())
    expect(await source.token()).toBe('token-2')
  })

  it.each([-1, 'soon', null, true, {}])(
    'with expires_in %j is refused, and does not cause a request at each call',
    async (expires_in) => {
      const { source, tokenRequests } = await startTokenSource(() => tokenResponse({ expires_in }))
      expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_INVALID_RESPONSE')
      expect(tokenRequests()).toHaveLength(1)
      for (let call = 0; call < 50; call += 1) await refusal(() => source.token())
      expect(tokenRequests()).toHaveLength(3)
    },
  )

  it('has the age of its request when the response took long', async () => {
    const { source, clock, tokenRequests } = await startTokenSource(async () => {
      clock.advance(50)
      return tokenResponse({ expires_in: 100 })
    })
    await source.token()
    expect((await source.tokenResponse()).expires_in).toBe(50)
    clock.advance(45)
    await source.token()
    expect(tokenRequests()).toHaveLength(2)
  })

  it('that was given is used until it expires, and no request is sent before', async () => {
    const server = closing(await startScriptedServer(() => new Response(null, { status: 500 })))
    let time = 0
    const source = tokenSource({
      issuer: server.url,
      clientId: 'agent',
      authentication: privateKeyJwt(await es256Signer()),
      tokenResponse: { access_token: 'given', token_type: 'bearer', expires_in: 60 },
      retries: 0,
      now: () => time,
    })
    expect(await source.token()).toBe('given')
    time = 47_000
    expect(await source.tokenResponse()).toMatchObject({ access_token: 'given', expires_in: 13 })
    expect(server.requests).toEqual([])
    time = 60_000
    expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_UNAVAILABLE')
  })
})
