import type { Fetch } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedServer } from '../servers/scripted-server.js'
import { errorResponse, hang, inTurn, tokenResponse } from '../servers/token-responses.js'
import { closing, expectBackoff, refusal, signaturesOf, thrown, until } from './fixtures.ts'
import { accepting, bearerOf, numberedTokens, startResource, startTokenSource } from './servers.ts'

const unauthorized = () => new Response('no', { status: 401 })

describe('a token that the resource refuses with a 401', () => {
  it('is renewed once for 100 concurrent requests, each of which is sent again once', async () => {
    const { source, as, api, resource, bearers } = await startResource({
      answer: accepting('token-2'),
    })
    await source.token()
    const before = as.requests.length
    const signatures = await signaturesOf(async () => {
      const all = Array.from({ length: 100 }, () => source.fetch(resource))
      const statuses = (await Promise.all(all)).map(({ status }) => status)
      expect(new Set(statuses)).toEqual(new Set([200]))
    })
    expect(signatures).toHaveLength(1)
    expect(as.requests.slice(before).map(({ path }) => path)).toEqual(['/token'])
    expect(api.requests).toHaveLength(200)
    expect(bearers().filter((bearer) => bearer === 'token-2')).toHaveLength(100)
  })

  it('is renewed each time it is revoked, if the new token is accepted', async () => {
    let good = 1
    const { source, resource, tokenRequests } = await startResource({
      answer: (request) => accepting(`token-${good}`)(request),
    })
    for (good = 1; good <= 10; good += 1) {
      const all = Array.from({ length: 10 }, () => source.fetch(resource))
      for (const { status } of await Promise.all(all)) expect(status).toBe(200)
      expect(tokenRequests()).toHaveLength(good)
    }
  })

  it('is not renewed again by a response that arrives late', async () => {
    const late: (() => void)[] = []
    const { source, resource, tokenRequests } = await startResource({
      async answer(request) {
        if (request.path === '/mcp/late' && late.length === 0) {
          await new Promise<void>((resolve) => late.push(resolve))
        }
        return accepting('token-2')(request)
      },
    })
    const slow = source.fetch(`${resource}/late`)
    expect((await source.fetch(resource)).status).toBe(200)
    for (const answer of late) answer()
    expect((await slow).status).toBe(200)
    expect(tokenRequests()).toHaveLength(2)
  })

  it('is not replaced by a token that has expired when the response arrives', async () => {
    const late: (() => void)[] = []
    const { source, clock, resource, bearers } = await startResource({
      async answer(request) {
        if (request.path === '/mcp/late' && late.length === 0) {
          await new Promise<void>((resolve) => late.push(resolve))
        }
        return accepting('token-2', 'token-3')(request)
      },
    })
    const slow = source.fetch(`${resource}/late`)
    await until(() => late.length === 1)
    expect((await source.fetch(resource)).status).toBe(200)
    clock.advance(3600)
    for (const answer of late) answer()
    expect((await slow).status).toBe(200)
    expect(bearers().at(-1)).toBe('token-3')
  })

  it('is not renewed by each late response while the authorization server refuses', async () => {
    const late: (() => void)[] = []
    const token = inTurn(
      () => tokenResponse(),
      () => errorResponse('invalid_client'),
    )
    const { source, resource, tokenRequests } = await startResource({
      token,
      async answer() {
        await new Promise<void>((resolve) => late.push(resolve))
        return unauthorized()
      },
    })
    let settled = 0
    const requests = Array.from({ length: 6 }, async () => {
      const error = await refusal(() => source.fetch(resource))
      settled += 1
      return error
    })
    await until(() => late.length === 6)
    for (const [index, answer] of late.entries()) {
      answer()
      await until(() => settled === index + 1)
    }
    for (const { error } of await Promise.all(requests)) expect(error).toBe('invalid_client')
    expect(tokenRequests()).toHaveLength(4)
  })

  it('is replaced at once, even shortly after another renewal, if it was invalidated meanwhile', async () => {
    const late: (() => void)[] = []
    const { source, resource } = await startResource({
      async answer(request) {
        if (request.path === '/mcp/late') await new Promise<void>((resolve) => late.push(resolve))
        return accepting('token-3')(request)
      },
    })
    expect((await source.fetch(resource)).status).toBe(401)
    const request = source.fetch(`${resource}/late`)
    await until(() => late.length === 1)
    source.invalidate('token-2')
    late[0]?.()
    await until(() => late.length === 2)
    late[1]?.()
    expect((await request).status).toBe(200)
  })
})

describe('a resource that refuses every token', () => {
  it('costs one signature, then one after delays that double, for any number of requests', async () => {
    const { source, clock, resource, tokenRequests } = await startResource({
      answer: unauthorized,
      token: () => tokenResponse({ expires_in: 100_000 }),
    })
    await source.token()
    const renewed: number[] = []
    for (let second = 0; second < 70; second += 1) {
      const before = tokenRequests().length
      for (let request = 0; request < 2; request += 1) {
        const response = await source.fetch(resource)
        expect([response.status, await response.text()]).toEqual([401, 'no'])
      }
      if (tokenRequests().length > before) renewed.push(second)
      clock.advance(1)
    }
    expectBackoff(renewed)
    expect(renewed.length).toBeGreaterThanOrEqual(7)
    expect(tokenRequests()).toHaveLength(1 + renewed.length)
  })

  it('costs one signature for 100 concurrent requests', async () => {
    const { source, resource, api, tokenRequests } = await startResource({ answer: unauthorized })
    const all = Array.from({ length: 100 }, () => source.fetch(resource))
    for (const { status } of await Promise.all(all)) expect(status).toBe(401)
    expect(tokenRequests()).toHaveLength(2)
    expect(api.requests).toHaveLength(200)
  })

  it('costs one signature even if other requests succeed in between', async () => {
    const { source, resource, tokenRequests } = await startResource({
      answer: ({ path }) => (path === '/mcp/forbidden' ? unauthorized() : new Response('welcome')),
    })
    for (let round = 0; round < 10; round += 1) {
      expect((await source.fetch(resource)).status).toBe(200)
      expect((await source.fetch(`${resource}/forbidden`)).status).toBe(401)
    }
    expect(tokenRequests()).toHaveLength(2)
  })

  it('costs a bounded number of signatures when it accepts each new token once', async () => {
    const used = new Set<string>()
    const { source, clock, resource, tokenRequests } = await startResource({
      token: numberedTokens({ expires_in: 100_000 }),
      answer({ headers }) {
        const bearer = bearerOf(headers) ?? ''
        const response = used.has(bearer) ? unauthorized() : new Response('welcome')
        used.add(bearer)
        return response
      },
    })
    const statuses: number[] = []
    for (let second = 0; second < 1800; second += 1) {
      statuses.push((await source.fetch(resource)).status)
      clock.advance(1)
    }
    // The first token, ten renewals at once, and one more per minute.
    expect(tokenRequests().length).toBeGreaterThanOrEqual(38)
    expect(tokenRequests().length).toBeLessThanOrEqual(41)
    expect(statuses.slice(0, 11)).toEqual(Array(11).fill(200))
    expect(statuses[11]).toBe(401)
  })

  it('costs a bounded number of signatures when it asks for more scope and accepts each new token once', async () => {
    let calls = 0
    const { source, resource, tokenRequests } = await startResource({
      token: numberedTokens(),
      answer: () =>
        ++calls % 2 === 1
          ? new Response('no', {
              status: 403,
              headers: {
                'www-authenticate': `Bearer error="insufficient_scope", scope="s${calls}"`,
              },
            })
          : new Response('welcome'),
    })
    for (let call = 0; call < 60; call += 1) await source.fetch(resource)
    expect(tokenRequests()).toHaveLength(11)
  })

  it('costs one signature for any number of refused streams', async () => {
    const { source, resource, tokenRequests } = await startResource({ answer: unauthorized })
    for (let round = 0; round < 10; round += 1) {
      const body = new Blob(['streamed']).stream()
      await source.fetch(resource, { method: 'POST', body, duplex: 'half' })
    }
    expect(tokenRequests()).toHaveLength(2)
  })
})

describe('a renewal after a 401', () => {
  it('rejects with the error of the authorization server if it fails', async () => {
    const token = inTurn(
      () => tokenResponse(),
      () => errorResponse('invalid_client', { description: 'the client was removed' }),
    )
    const { source, resource, tokenRequests } = await startResource({
      answer: unauthorized,
      token,
    })
    expect(await refusal(() => source.fetch(resource))).toMatchObject({
      error: 'invalid_client',
      error_description: 'the client was removed',
    })
    expect(tokenRequests()).toHaveLength(2)
  })

  it('is no longer waited for by a request whose signal aborts; other requests still wait', async () => {
    const controller = new AbortController()
    const reason = { what: 'my own' }
    const { source, resource } = await startResource({
      answer: accepting('token-2'),
      token: async () => {
        issued += 1
        if (issued === 2) controller.abort(reason)
        return tokenResponse({ access_token: `token-${issued}` })
      },
    })
    let issued = 0
    const staying = source.fetch(resource)
    const leaving = thrown(() => source.fetch(resource, { signal: controller.signal }))
    expect(await leaving).toBe(reason)
    expect((await staying).status).toBe(200)
  })
})

describe('the body of a response that the caller does not get', () => {
  /** Answers requests to the resource with bodies that never end, and records the ones that are cancelled. */
  function endlessBodies(answers: readonly ResponseInit[]) {
    const cancelled: number[] = []
    let requests = 0
    const fetch: Fetch = async (input, init) => {
      if (new URL(String(input)).hostname !== 'api.test') return globalThis.fetch(input, init)
      const index = requests++
      const body = new ReadableStream({ cancel: () => void cancelled.push(index) })
      return new Response(body, answers[index] ?? {})
    }
    return { fetch, cancelled, resource: 'https://api.test/mcp' }
  }

  it('is cancelled before the request is sent again', async () => {
    const { cancelled, ...options } = endlessBodies([{ status: 401 }])
    const { source } = await startTokenSource(undefined, options)
    expect((await source.fetch(options.resource)).status).toBe(200)
    expect(cancelled).toEqual([0])
  })

  it('is cancelled before a redirect is followed', async () => {
    const { cancelled, ...options } = endlessBodies([{ status: 302, headers: { location: '/x' } }])
    const { source } = await startTokenSource(undefined, options)
    expect((await source.fetch(options.resource)).status).toBe(200)
    expect(cancelled).toEqual([0])
  })

  it('is cancelled when the renewal fails', async () => {
    const { cancelled, ...options } = endlessBodies([{ status: 401 }])
    const token = inTurn(tokenResponse, () => errorResponse('invalid_client'))
    const { source } = await startTokenSource(token, options)
    await refusal(() => source.fetch(options.resource))
    expect(cancelled).toEqual([0])
  })
})

describe('a signal', () => {
  it('ends the wait for the first token, with its reason', async () => {
    const { source, resource, api } = await startResource({ token: () => hang })
    const controller = new AbortController()
    const requests = [
      thrown(() => source.fetch(resource, { signal: controller.signal })),
      thrown(() => source.fetch(new Request(resource, { signal: controller.signal }))),
    ]
    controller.abort('enough')
    expect(await Promise.all(requests)).toEqual(['enough', 'enough'])
    expect(api.requests).toEqual([])
  })

  it('ends a request to the resource', async () => {
    const server = closing(await startScriptedServer(() => hang))
    const { source } = await startResource({ resource: server.url })
    const controller = new AbortController()
    const request = thrown(() => source.fetch(server.url, { signal: controller.signal }))
    await expect.poll(() => server.requests.length).toBe(1)
    controller.abort('enough')
    expect(await request).toBe('enough')
    expect(bearerOf(server.requests[0]?.headers ?? {})).toBe('token-1')
  })

  it('may be null', async () => {
    const { source, resource } = await startResource({ answer: accepting('token-2') })
    expect((await source.fetch(resource, { signal: null })).status).toBe(200)
  })
})
