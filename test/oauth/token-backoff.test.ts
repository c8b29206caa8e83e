import { clientSecretBasic, tokenSource } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import {
  errorResponse,
  htmlBadGateway,
  inTurn,
  tokenResponse,
  tooManyRequests,
} from '../servers/token-responses.js'
import { closing, expectBackoff, refusal, signaturesOf, startClock } from './fixtures.ts'
import { startTokenSource } from './servers.ts'

const refused = () => errorResponse('invalid_client', { status: 401 })

describe('a failure that goes on', () => {
  it('costs three signatures at once, and then one less and less often', async () => {
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

  it('costs 100 callers at once no more than one', async () => {
    const { source, tokenRequests } = await startTokenSource(refused)
    for (let round = 0; round < 5; round += 1) {
      const callers = Array.from({ length: 100 }, () => refusal(() => source.token()))
      await Promise.all(callers)
    }
    expect(tokenRequests()).toHaveLength(3)
  })

  it('is forgotten after a success', async () => {
    const answers = inTurn(refused, refused, refused, () => tokenResponse(), refused)
    const { source, clock, tokenRequests } = await startTokenSource(answers)
    for (let call = 0; call < 5; call += 1) await refusal(() => source.token())
    clock.advance(1)
    source.invalidate(await source.token())
    await refusal(() => source.token())
    await refusal(() => source.token())
    expect(tokenRequests()).toHaveLength(6)
  })

  it('does not last longer because the clock was wrong', async () => {
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
    'of a server %s does not bring all clients back in the same second',
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

  it('counts one for all attempts of a renewal, and makes no signature in between', async () => {
    const { source, tokenRequests } = await startTokenSource(htmlBadGateway, { retries: 1 })
    for (let call = 0; call < 3; call += 1) await refusal(() => source.token())
    const signatures = await signaturesOf(async () => {
      expect(await refusal(() => source.token())).toMatchObject({ status: 502 })
    })
    expect(signatures).toEqual([])
    expect(tokenRequests()).toHaveLength(6)
  })
})
