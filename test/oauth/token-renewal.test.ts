import { describe, expect, it } from 'vitest'
import {
  errorResponse,
  hang,
  htmlBadGateway,
  inTurn,
  tokenResponse,
  tooManyRequests,
} from '../servers/token-responses.js'
import { expectBackoff, refusal, until } from './fixtures.ts'
import { startObservedTokenSource, startTokenSource } from './servers.ts'

const good = () => tokenResponse({ access_token: 'good' })
const better = () => tokenResponse({ access_token: 'better' })

describe('a token that is good for an hour', () => {
  it('is renewed in its last five minutes, once, while all callers get the old one', async () => {
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

  it('is handed out at once even while its renewal hangs', async () => {
    const { source, clock, tokenRequests } = await startTokenSource(inTurn(good, () => hang))
    await source.token()
    clock.advance(3300)
    for (let call = 0; call < 5; call += 1) {
      let token: string | undefined
      void source.token().then((settled) => {
        token = settled
      })
      // Enough for promises to settle, and no answer of a server arrives meanwhile.
      for (let turn = 0; turn < 10; turn += 1) await undefined
      expect(token).toBe('good')
    }
    await until(() => tokenRequests().length === 2)
  })

  it('is not handed out in its last five seconds', async () => {
    const { source, clock } = await startTokenSource()
    await source.token()
    clock.advance(3595)
    expect(await source.token()).toBe('token-2')
  })

  it('tells how much of it is left', async () => {
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
  it('leaves the old token, and is tried again less and less often', async () => {
    const { getToken, clock, tokenRequests } = await startObservedTokenSource(
      inTurn(good, htmlBadGateway),
    )
    await getToken()
    clock.advance(3300)
    const tried: number[] = []
    for (let second = 0; second < 200; second += 1) {
      const { token, renewal } = await getToken()
      expect(token).toBe('good')
      if (renewal !== undefined) tried.push(second)
      clock.advance(1)
    }
    expectBackoff(tried)
    expect(tried.length).toBeGreaterThanOrEqual(9)
    expect(tokenRequests()).toHaveLength(1 + tried.length)
  })

  it('is tried again when the server said, and not before', async () => {
    const later = () => tooManyRequests('100')
    const { getToken, clock } = await startObservedTokenSource(inTurn(good, later, better))
    await getToken()
    clock.advance(3300)
    expect((await getToken()).renewal).toMatchObject({ outcome: 'failed' })
    clock.advance(99)
    expect((await getToken()).renewal).toBeUndefined()
    clock.advance(26)
    expect((await getToken()).renewal).toMatchObject({ outcome: 'granted' })
    expect((await getToken()).token).toBe('better')
  })

  it.each(['0', '0.5', '-5', 'soon'])(
    'backs off although the server says "Retry-After: %s"',
    async (after) => {
      const { getToken, clock } = await startObservedTokenSource(
        inTurn(good, () => tooManyRequests(after)),
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

  it('does not back off for ever when the clock was wrong at the time', async () => {
    const { getToken, clock } = await startObservedTokenSource(inTurn(good, htmlBadGateway, better))
    await getToken()
    clock.advance(3500)
    expect((await getToken()).renewal).toMatchObject({ outcome: 'failed' })
    clock.advance(-100)
    expect((await getToken()).renewal).toMatchObject({ outcome: 'granted' })
  })

  it('fails nobody who waits: his own attempts follow', async () => {
    const { source, clock, tokenRequests } = await startTokenSource(
      inTurn(
        good,
        () => hang,
        () => tooManyRequests('0'),
        better,
      ),
      { timeoutSeconds: 1 },
    )
    await source.token()
    clock.advance(3300)
    await source.token()
    await until(() => tokenRequests().length === 2)
    clock.advance(300)
    const waiting = Promise.all(Array.from({ length: 10 }, () => source.token()))
    expect(new Set(await waiting)).toEqual(new Set(['better']))
    expect(tokenRequests()).toHaveLength(4)
  })

  it('has its reason told to those who ask after the token has expired', async () => {
    const refused = () => errorResponse('invalid_client', { status: 401 })
    const { source, getToken, clock, tokenRequests } = await startObservedTokenSource(
      inTurn(good, refused),
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
