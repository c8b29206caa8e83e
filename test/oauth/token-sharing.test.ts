import { describe, expect, it, onTestFinished } from 'vitest'
import {
  hang,
  inTurn,
  jsonServerError,
  tokenResponse,
  tooManyRequests,
} from '../servers/token-responses.js'
import { refusal, renewalsOf, signaturesOf, thrown, until } from './fixtures.ts'
import { claimsOf, numberedTokens, startTokenSource } from './servers.ts'

/** Starts this many calls at once. */
function together<T>(calls: number, call: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: calls }, call))
}

describe('a token request', () => {
  it('has the scope and the resource, and names the client in the assertion only', async () => {
    const { source, as, tokenRequests } = await startTokenSource(undefined, {
      resource: 'https://api.test/invoices?tenant=7',
      scope: 'read  write read',
    })
    expect(await source.token()).toBe('token-1')
    expect(Object.fromEntries(tokenRequests()[0] ?? [])).toEqual({
      grant_type: 'client_credentials',
      scope: 'read write',
      resource: 'https://api.test/invoices?tenant=7',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]{86}$/),
    })
    expect(claimsOf(tokenRequests()[0])).toMatchObject({ aud: as.url, iss: 'agent', sub: 'agent' })
  })

  it('has no scope and no resource without these options', async () => {
    const { source, tokenRequests } = await startTokenSource(undefined, { scope: ' ' })
    await source.token()
    expect([...(tokenRequests()[0]?.keys() ?? [])].sort()).toEqual([
      'client_assertion',
      'client_assertion_type',
      'grant_type',
    ])
  })

  it('has the parameters of another grant, made for each request', async () => {
    let made = 0
    const { source, as, clock, tokenRequests } = await startTokenSource(undefined, {
      grant: async ({ issuer }) => ({ grant_type: 'urn:test', for: issuer, nr: `${++made}` }),
    })
    await source.token()
    clock.advance(3600)
    await source.token()
    const expected = { grant_type: 'urn:test', for: as.url }
    expect(tokenRequests().map((form) => Object.fromEntries(form))).toMatchObject([
      { ...expected, nr: '1' },
      { ...expected, nr: '2' },
    ])
  })

  it('is not sent before the first call', async () => {
    const { as } = await startTokenSource()
    expect(as.requests).toEqual([])
  })
})

describe('callers that need a token at the same time', () => {
  it('share one signature and one request, for the first token and after each expiry', async () => {
    const { source, clock, tokenRequests } = await startTokenSource()
    for (const expected of ['token-1', 'token-2']) {
      let tokens: string[] = []
      const signatures = await signaturesOf(async () => {
        tokens = await together(100, () => source.token())
      })
      expect(new Set(tokens)).toEqual(new Set([expected]))
      expect(signatures).toHaveLength(1)
      clock.advance(3600)
    }
    expect(tokenRequests()).toHaveLength(2)
  })

  it('share one failure, which is reported once', async () => {
    const { source, tokenRequests } = await startTokenSource(jsonServerError, { retries: 0 })
    const renewals = await renewalsOf(async () => {
      const errors = await together(100, () => refusal(() => source.token()))
      expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['ERR_OAUTH_UNAVAILABLE']))
    })
    expect(renewals).toMatchObject([{ outcome: 'failed', code: 'ERR_OAUTH_UNAVAILABLE' }])
    expect(tokenRequests()).toHaveLength(1)
  })

  it('get a token even if the signal of one of them aborts, which gets the reason of its signal', async () => {
    const { source, clock, tokenRequests } = await startTokenSource()
    for (const reason of [new Error('enough'), 'enough', 0]) {
      const controller = new AbortController()
      const leaving = thrown(() => source.token({ signal: controller.signal }))
      const staying = source.token()
      controller.abort(reason)
      expect(await leaving).toBe(reason)
      expect(await staying).toBe(`token-${tokenRequests().length}`)
      clock.advance(3600)
    }
    expect(tokenRequests()).toHaveLength(3)
  })

  it('may all stop waiting, and the next caller gets a token', async () => {
    const { source, tokenRequests } = await startTokenSource(
      inTurn(() => hang, tokenResponse),
      {
        timeoutSeconds: 2,
      },
    )
    const { signal } = new AbortController()
    const controllers = Array.from({ length: 10 }, () => new AbortController())
    const leaving = controllers.map((one) => thrown(() => source.token({ signal: one.signal })))
    await until(() => tokenRequests().length === 1)
    for (const one of controllers) one.abort('enough')
    expect(new Set(await Promise.all(leaving))).toEqual(new Set(['enough']))
    expect((await refusal(() => source.token({ signal }))).code).toBe('ERR_OAUTH_TIMEOUT')
    expect(await source.token({ signal })).toBe('access-token')
  })

  it('cause no further attempt after all of them have stopped waiting', async () => {
    const { source, tokenRequests } = await startTokenSource(() => tooManyRequests('10'))
    const controllers = Array.from({ length: 3 }, () => new AbortController())
    let ended = 0
    const leaving = renewalsOf(async () => {
      const callers = controllers.map((one) => thrown(() => source.token({ signal: one.signal })))
      await until(() => tokenRequests().length === 1)
      // The response is read, and the delay before the next attempt has started.
      await new Promise((resolve) => setTimeout(resolve, 50))
      for (const one of controllers) one.abort('enough')
      await Promise.all(callers)
      // The renewal ends long before the time of the next attempt.
      await thrown(() => source.token())
      ended += 1
    })
    await until(() => ended === 1)
    expect(await leaving).toMatchObject([{ outcome: 'failed', code: 'ERR_OAUTH_UNAVAILABLE' }])
    expect(tokenRequests()).toHaveLength(1)
  })

  it('get a further attempt while one of them still waits', async () => {
    const answers = inTurn(
      () => tooManyRequests('1'),
      () => tokenResponse(),
    )
    const { source, tokenRequests } = await startTokenSource(answers)
    const controller = new AbortController()
    const leaving = [1, 2].map(() => thrown(() => source.token({ signal: controller.signal })))
    const staying = source.token()
    await until(() => tokenRequests().length === 1)
    // The response is read, and the delay before the next attempt has started.
    await new Promise((resolve) => setTimeout(resolve, 50))
    controller.abort('enough')
    await Promise.all(leaving)
    expect(await staying).toBe('access-token')
    expect(tokenRequests()).toHaveLength(2)
  })

  it('may share one signal without a warning about a leak', async () => {
    const warnings: Error[] = []
    const listener = (warning: Error) => void warnings.push(warning)
    process.on('warning', listener)
    onTestFinished(() => void process.off('warning', listener))
    const { source } = await startTokenSource()
    const { signal } = new AbortController()
    await together(100, () => source.token({ signal }))
    await new Promise(setImmediate)
    expect(warnings).toEqual([])
  })

  it('get no token and cause no request if their signal has aborted before', async () => {
    const { source, as } = await startTokenSource()
    const signal = AbortSignal.abort('too late')
    expect(await thrown(() => source.token({ signal }))).toBe('too late')
    expect(as.requests).toEqual([])
    await source.token()
    expect(await thrown(() => source.token({ signal }))).toBe('too late')
  })
})

describe('invalidate', () => {
  it('removes the token, and the next caller gets another one', async () => {
    const { source } = await startTokenSource()
    source.invalidate(await source.token())
    expect(await together(10, () => source.token())).toEqual(Array(10).fill('token-2'))
  })

  it('does nothing for a token that is not the current one', async () => {
    const { source, tokenRequests } = await startTokenSource(numberedTokens())
    const old = await source.token()
    source.invalidate(old)
    await source.token()
    source.invalidate(old)
    source.invalidate('unknown')
    expect(await source.token()).toBe('token-2')
    expect(tokenRequests()).toHaveLength(2)
  })
})
