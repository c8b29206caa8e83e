import { type Signer, SignerError } from '@countersign/core'
import { discoverProtectedResource, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import type { Answer, Script } from '../servers/scripted-server.js'
import {
  cutConnection,
  errorResponse,
  htmlBadGateway,
  inTurn,
  jsonServerError,
  tokenResponse,
  tooManyRequests,
} from '../servers/token-responses.js'
import { es256Signer, refusal, signaturesOf, thrown } from './fixtures.ts'
import { claimsOf, startTokenSource } from './servers.ts'

const transient: [string, () => Answer][] = [
  ['a 500 with an OAuth error', jsonServerError],
  ['a 502 from a proxy', htmlBadGateway],
  ['a 503', () => new Response(null, { status: 503 })],
  ['a 429', () => tooManyRequests('0')],
  ['temporarily_unavailable', () => errorResponse('temporarily_unavailable')],
  ['a connection that is cut', () => cutConnection],
]

describe.each(transient)('%s from the token endpoint', (_what, answer) => {
  it('is followed by another attempt with a new assertion', async () => {
    const { source, tokenRequests } = await startTokenSource(inTurn(answer, () => tokenResponse()))
    const signatures = await signaturesOf(async () => {
      expect(await source.token()).toBe('access-token')
    })
    const [one, other] = tokenRequests().map(claimsOf)
    expect(tokenRequests()).toHaveLength(2)
    expect(signatures).toHaveLength(2)
    expect(other?.['jti']).not.toBe(one?.['jti'])
  })

  it.each([
    [0, 1],
    [1, 2],
  ])('is thrown after %i further attempts', async (retries, requests) => {
    const { source, tokenRequests } = await startTokenSource(answer, { retries })
    const error = await refusal(() => source.token())
    expect(error).toMatchObject({ code: 'ERR_OAUTH_UNAVAILABLE', retryable: true })
    expect(tokenRequests()).toHaveLength(requests)
  })
})

describe('attempts', () => {
  it('are three by default', async () => {
    const { source, tokenRequests } = await startTokenSource(() => tooManyRequests('0'))
    expect(await refusal(() => source.token())).toMatchObject({ status: 429, error: 'slow_down' })
    expect(tokenRequests()).toHaveLength(3)
    expect(new Set(tokenRequests().map((form) => claimsOf(form)['jti'])).size).toBe(3)
  })

  it('are delayed longer each time if the server names no time', async () => {
    const times: number[] = []
    const { source } = await startTokenSource(() => {
      times.push(performance.now())
      return htmlBadGateway()
    })
    await refusal(() => source.token())
    const [first = 0, second = 0, third = 0] = times
    expect(second - first).toBeGreaterThan(120)
    expect(third - second).toBeGreaterThan(245)
    expect(third - first).toBeLessThan(3000)
  })

  it('follow when the server cannot be reached, and the cause says why', async () => {
    const { source, as } = await startTokenSource()
    await as.close()
    const error = await refusal(() => source.token())
    expect(error.code).toBe('ERR_OAUTH_UNAVAILABLE')
    expect(error.cause).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })

  it('that fail with a circular cause have an error of finite depth', async () => {
    const circle = new Error('fetch failed')
    circle.cause = new Error('socket closed', { cause: circle })
    const { source } = await startTokenSource(undefined, {
      retries: 0,
      fetch: () => Promise.reject(circle),
    })
    const error = await refusal(() => source.token())
    expect(error.code).toBe('ERR_OAUTH_UNAVAILABLE')
    let depth = 0
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) depth += 1
    expect(depth).toBeGreaterThan(2)
    expect(depth).toBeLessThan(10)
  })

  it('follow when the metadata is unavailable', async () => {
    let refusals = 0
    const { source, tokenRequests } = await startTokenSource(undefined, {
      fetch: async (input, init) => {
        if (String(input).includes('/.well-known/') && ++refusals <= 2) {
          return new Response(null, { status: 503, headers: { 'retry-after': '0' } })
        }
        return fetch(input, init)
      },
    })
    expect(await source.token()).toBe('token-1')
    expect(tokenRequests()).toHaveLength(1)
  })
})

describe('a server with Retry-After', () => {
  async function delayAfter(answer: Script, now: () => number): Promise<number> {
    const times: number[] = []
    const { source } = await startTokenSource(
      (request) => {
        times.push(performance.now())
        return times.length === 1 ? answer(request) : tokenResponse()
      },
      { now },
    )
    await source.token()
    const [first = 0, second = 0] = times
    return second - first
  }

  it('gets no request for that many seconds', async () => {
    const waited = await delayAfter(() => tooManyRequests('1'), Date.now)
    expect(waited).toBeGreaterThan(990)
    expect(waited).toBeLessThan(3000)
  })

  it('gets no request until that date', async () => {
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT'
    const now = () => Date.parse(date) - 300
    const waited = await delayAfter(() => tooManyRequests(date), now)
    expect(waited).toBeGreaterThan(290)
    expect(waited).toBeLessThan(900)
  })

  it.each(['Sun, 06 Nov 1994 08:49:37 GMT', '0', '-5', '-1.5', '1.5 s', 'soon', '2001-01-01'])(
    'gets the next request after the usual delay when the value is %j',
    async (value) => {
      const waited = await delayAfter(() => tooManyRequests(value), Date.now)
      expect(waited).toBeGreaterThan(120)
      expect(waited).toBeLessThan(900)
    },
  )

  const date = 'Sun, 06 Nov 1994 08:49:37 GMT'
  it.each([
    ['120', 120],
    ['1.5', 1.5],
    ['9'.repeat(400), Number.MAX_SAFE_INTEGER],
    [date, 90],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 90],
    ['Sun, 06 Nov 1994 08:48:37 GMT', 30],
    ['Sat, 05 Nov 1994 08:48:37 GMT', 0],
    ['-5', undefined],
    ['1e3', undefined],
    ['Infinity', undefined],
    ['Nov 6', undefined],
    ['', undefined],
  ])('with the value %j: the error has retryAfterSeconds %j', async (value, seconds) => {
    const now = () => Date.parse(date) - 90_000
    const { source } = await startTokenSource(() => tooManyRequests(value), { retries: 0, now })
    expect((await refusal(() => source.token())).retryAfterSeconds).toBe(seconds)
    const discover = () =>
      discoverProtectedResource('https://api.test', {
        fetch: async () => new Response(null, { status: 503, headers: { 'retry-after': value } }),
      })
    const { retryAfterSeconds } = await refusal(discover)
    if (value.endsWith('GMT')) expect(retryAfterSeconds).toBe(0)
    else expect(retryAfterSeconds).toBe(seconds)
  })

  it('that asks for a long delay makes callers fail at once, and gets no request before', async () => {
    const later = inTurn(
      () => tooManyRequests('100'),
      () => tokenResponse(),
    )
    const { source, clock, tokenRequests } = await startTokenSource(later)
    for (const elapsed of [0, 50, 49]) {
      clock.advance(elapsed)
      const error = await refusal(() => source.token())
      expect(error).toMatchObject({ code: 'ERR_OAUTH_UNAVAILABLE', retryAfterSeconds: 100 })
    }
    expect(tokenRequests()).toHaveLength(1)
    clock.advance(26)
    expect(await source.token()).toBe('access-token')
  })

  it('cannot delay a client by more than an hour', async () => {
    const later = inTurn(
      () => tooManyRequests('999999999'),
      () => tokenResponse(),
    )
    const { source, clock } = await startTokenSource(later)
    await refusal(() => source.token())
    clock.advance(4500)
    expect(await source.token()).toBe('access-token')
  })
})

describe('an error of the signer', () => {
  it.each([true, false])(
    'is thrown unchanged, after one attempt (retryable: %s)',
    async (retryable) => {
      const real = await es256Signer()
      const failure = new SignerError('ERR_SIGNER_THROTTLED', 'too many signatures', { retryable })
      let asked = 0
      const signer: Signer = {
        ...real,
        async sign() {
          asked += 1
          throw failure
        },
      }
      const authentication = privateKeyJwt(signer)
      const { source, tokenRequests } = await startTokenSource(undefined, { authentication })
      expect(await thrown(() => source.token())).toBe(failure)
      expect(asked).toBe(1)
      expect(tokenRequests()).toEqual([])
    },
  )
})
