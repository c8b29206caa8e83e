import { clientSecretBasic, tokenSource } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import {
  errorResponse,
  hang,
  htmlBadGateway,
  inTurn,
  tokenResponse,
  tooManyRequests,
} from '../servers/token-responses.js'
import { closing, expectBackoff, refusal, signaturesOf, startClock, until } from './fixtures.ts'
import { startObservedTokenSource, startTokenSource } from './servers.ts'

const oldToken = () => tokenResponse({ access_token: 'old-token' })
const newToken = () => tokenResponse({ access_token: 'new-token' })

describe('a token with a lifetime of an hour', () => {
  it('is renewed once in its last five minutes, while all callers get the old token', async () => {
    const { source, getToken, clock, tokenRequests } = await startObservedTokenSource()
    await getToken()
    clock.advance(3299)
    expect(await getToken()).toEqual({ token: 'token-1', renewal: undefined })
    clock.advance(1)
    const tokens = Promise.all(Array.from({ length: 100 }, () => source.token()))
    expect(await getToken()).toMatchObject({
      token: 'token-1',
      renewal: { background: true, outcome: 'granted', clientId: 'agent' },
    })
    expect(new Set(await tokens)).toEqual(new Set(['token-1']))
    expect(await getToken()).toEqual({ token: 'token-2', renewal: undefined })
    expect(tokenRequests()).toHaveLength(2)
  })

  it('is returned at once even while its renewal hangs', async () => {
    const { source, clock, tokenRequests } = await startTokenSource(inTurn(oldToken, () => hang))
    await source.token()
    clock.advance(3300)
    for (let call = 0; call < 5; call += 1) {
      let token: string | undefined
      void source.token().then((settled) => {
        token = settled
      })
      // Promises settle in these turns, but no response of a server arrives.
      for (let turn = 0; turn < 10; turn += 1) await undefined
      expect(token).toBe('old-token')
    }
    await until(() => tokenRequests().length === 2)
  })

  it('is not returned in its last five seconds', async () => {
    const { source, clock } = await startTokenSource()
    await source.token()
    clock.advance(3595)
    expect(await source.token()).toBe('token-2')
  })

  it('has the seconds that are left in "expires_in"', async () => {
    const { source, clock } = await startTokenSource()
    expect(await source.tokenResponse()).toMatchObject({
      expires_in: expect.closeTo(3600, -1),
      token_type: 'bearer',
    })
    clock.advance(100.5)
    expect(await source.tokenResponse()).toMatchObject({ expires_in: 3499 })
  })
})

describe('a renewal in the background that fails', () => {
  it('leaves the old token, and is repeated after delays that double', async () => {
    const { getToken, clock, tokenRequests } = await startObservedTokenSource(
      inTurn(oldToken, htmlBadGateway),
    )
    await getToken()
    clock.advance(3300)
    const tried: number[] = []
    for (let second = 0; second < 200; second += 1) {
      const { token, renewal } = await getToken()
      expect(token).toBe('old-token')
      if (renewal !== undefined) tried.push(second)
      clock.advance(1)
    }
    expectBackoff(tried)
    expect(tried.length).toBeGreaterThanOrEqual(9)
    expect(tokenRequests()).toHaveLength(1 + tried.length)
  })

  it('is not repeated before the time that the server asked for', async () => {
    const later = () => tooManyRequests('100')
    const { getToken, clock } = await startObservedTokenSource(inTurn(oldToken, later, newToken))
    await getToken()
    clock.advance(3300)
    expect((await getToken()).renewal).toMatchObject({ outcome: 'failed' })
    clock.advance(99)
    expect((await getToken()).renewal).toBeUndefined()
    clock.advance(26)
    expect((await getToken()).renewal).toMatchObject({ outcome: 'granted' })
    expect((await getToken()).token).toBe('new-token')
  })

  it.each(['0', '0.5', '-5', 'soon'])(
    'is delayed as usual when the server says "Retry-After: %s"',
    async (after) => {
      const { getToken, clock } = await startObservedTokenSource(
        inTurn(oldToken, () => tooManyRequests(after)),
      )
      await getToken()
      clock.advance(3300)
      const tried: number[] = []
      for (let second = 0; second < 20; second += 1) {
        for (let call = 0; call < 3; call += 1) {
          if ((await getToken()).renewal !== undefined) tried.push(second)
        }
        clock.advance(1)
      }
      expectBackoff(tried)
      expect(tried.length).toBeGreaterThanOrEqual(5)
    },
  )

  it('is repeated without delay after the clock was set back', async () => {
    const { getToken, clock } = await startObservedTokenSource(
      inTurn(oldToken, htmlBadGateway, newToken),
    )
    await getToken()
    clock.advance(3500)
    expect((await getToken()).renewal).toMatchObject({ outcome: 'failed' })
    clock.advance(-100)
    expect((await getToken()).renewal).toMatchObject({ outcome: 'granted' })
  })

  it('does not fail a caller that waits: a renewal for the caller follows', async () => {
    const { source, clock, tokenRequests } = await startTokenSource(
      inTurn(
        oldToken,
        () => hang,
        () => tooManyRequests('0'),
        newToken,
      ),
      { timeoutSeconds: 1 },
    )
    await source.token()
    clock.advance(3300)
    await source.token()
    await until(() => tokenRequests().length === 2)
    clock.advance(300)
    const waiting = Promise.all(Array.from({ length: 10 }, () => source.token()))
    expect(new Set(await waiting)).toEqual(new Set(['new-token']))
    expect(tokenRequests()).toHaveLength(4)
  })

  it('is the error of callers that need a token after the old one has expired', async () => {
    const refused = () => errorResponse('invalid_client', { status: 401 })
    const { source, getToken, clock, tokenRequests } = await startObservedTokenSource(
      inTurn(oldToken, refused),
    )
    await getToken()
    clock.advance(3300)
    expect((await getToken()).renewal).toMatchObject({
      background: true,
      code: 'ERR_OAUTH_RESPONSE',
    })
    clock.advance(300)
    expect(await refusal(() => source.token())).toMatchObject({ error: 'invalid_client' })
    expect(tokenRequests()).toHaveLength(3)
  })
})

const refused = () => errorResponse('invalid_client', { status: 401 })

describe('repeated failures of callers that wait', () => {
  it('cost three signatures at once, then one after delays that double', async () => {
    const { source, clock, tokenRequests } = await startTokenSource(refused)
    const tried: number[] = []
    for (let second = 0; second < 200; second += 1) {
      for (let call = 0; call < 3; call += 1) {
        const before = tokenRequests().length
        const error = await refusal(() => source.token())
        expect(error).toMatchObject({ error: 'invalid_client', status: 401 })
        if (tokenRequests().length > before) tried.push(second)
      }
      clock.advance(1)
    }
    expect(tried.slice(0, 3)).toEqual([0, 0, 0])
    expectBackoff(tried.slice(2))
    expect(tried.length).toBeGreaterThanOrEqual(11)
  })

  it('cost three signatures for any number of concurrent callers', async () => {
    const { source, tokenRequests } = await startTokenSource(refused)
    for (let round = 0; round < 5; round += 1) {
      const callers = Array.from({ length: 100 }, () => refusal(() => source.token()))
      await Promise.all(callers)
    }
    expect(tokenRequests()).toHaveLength(3)
  })

  it('cause no delay after a success', async () => {
    const answers = inTurn(refused, refused, refused, () => tokenResponse(), refused)
    const { source, clock, tokenRequests } = await startTokenSource(answers)
    for (let call = 0; call < 5; call += 1) await refusal(() => source.token())
    clock.advance(1)
    source.invalidate(await source.token())
    await refusal(() => source.token())
    await refusal(() => source.token())
    expect(tokenRequests()).toHaveLength(6)
  })

  it('cause no longer delay when the clock is set back', async () => {
    const answers = inTurn(refused, refused, refused, () => tokenResponse())
    const { source, clock } = await startTokenSource(answers)
    for (let call = 0; call < 4; call += 1) await refusal(() => source.token())
    clock.advance(-1_000_000)
    expect(await source.token()).toBe('access-token')
  })

  it.each([
    ['that refuses', refused, 3, 0.5, 1],
    ['that says "Retry-After: 10"', () => tooManyRequests('10'), 1, 10, 12.5],
  ])(
    'of many clients of a server %s do not make them return in the same second',
    async (_what, answer, free, first, last) => {
      const as = closing(await startScriptedAuthorizationServer({ token: answer }))
      const clock = startClock()
      const sources = Array.from({ length: 40 }, () =>
        tokenSource({
          issuer: as.url,
          clientId: 'agent',
          authentication: clientSecretBasic('secret'),
          retries: 0,
          now: clock.now,
        }),
      )
      const requests = () => as.requests.filter(({ path }) => path === '/token').length
      const callAll = () => Promise.all(sources.map((source) => refusal(() => source.token())))
      for (let call = 0; call < free; call += 1) await callAll()
      expect(requests()).toBe(40 * free)
      const returned: number[] = []
      clock.advance(first)
      for (let tenth = 0; tenth < 10; tenth += 1) {
        const before = requests()
        clock.advance((last - first) / 10)
        await callAll()
        returned.push(requests() - before)
      }
      expect(returned.reduce((one, other) => one + other)).toBe(40)
      expect(returned.filter((count) => count > 0).length).toBeGreaterThan(3)
    },
  )

  it('count once for all attempts of a renewal, and cost no signature during the delay', async () => {
    const { source, tokenRequests } = await startTokenSource(htmlBadGateway, { retries: 1 })
    for (let call = 0; call < 3; call += 1) await refusal(() => source.token())
    const signatures = await signaturesOf(async () => {
      expect(await refusal(() => source.token())).toMatchObject({ status: 502 })
    })
    expect(signatures).toEqual([])
    expect(tokenRequests()).toHaveLength(6)
  })
})
