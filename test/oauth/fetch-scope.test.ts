import { limitScope } from '@countersign/oauth/internal'
import { describe, expect, it } from 'vitest'
import type { Script } from '../servers/scripted-server.js'
import { errorResponse, tokenResponse } from '../servers/token-responses.js'
import { refusal, signaturesOf, until } from './fixtures.ts'
import { bearerOf, startResource } from './servers.ts'

/** Grants tokens that name their scope, with dots for spaces. */
const scoped: Script = ({ form }) =>
  tokenResponse({ access_token: `of.${form.get('scope')?.replaceAll(' ', '.') ?? ''}` })

function insufficient(parameters: string): Response {
  return forbidden(`Bearer error="insufficient_scope"${parameters}`)
}

/** Requires the scope that the last segment of the path names. */
const strict: Script = ({ path, headers }) => {
  const scope = path.split('/').at(-1) ?? ''
  return bearerOf(headers)?.split('.').includes(scope)
    ? new Response('welcome')
    : insufficient(`, scope="${scope}"`)
}

describe('a 403 for insufficient scope', () => {
  it('is followed by one token request for the scope so far and the missing scope, and one retry', async () => {
    const { source, resource, bearers, tokenRequests } = await startResource({
      answer: strict,
      token: scoped,
      scope: 'read',
    })
    const response = await source.fetch(`${resource}/write`, { method: 'POST', body: 'text' })
    expect(await response.text()).toBe('welcome')
    expect(bearers()).toEqual(['of.read', 'of.read.write'])
    expect(tokenRequests().map((form) => form.get('scope'))).toEqual(['read', 'read write'])
  })

  it('costs one signature for 100 concurrent requests', async () => {
    const { source, resource, tokenRequests } = await startResource({
      answer: strict,
      token: scoped,
      scope: 'read',
    })
    const all = Array.from({ length: 100 }, () => source.fetch(`${resource}/write`))
    for (const { status } of await Promise.all(all)) expect(status).toBe(200)
    expect(tokenRequests()).toHaveLength(2)
  })

  it('adds to the granted scope when no scope was requested', async () => {
    const { source, resource, tokenRequests } = await startResource({
      answer: strict,
      token: ({ form }) =>
        tokenResponse({
          access_token: `of.${form.get('scope')?.replaceAll(' ', '.') ?? 'read'}`,
          scope: form.get('scope') ?? 'read',
        }),
    })
    expect((await source.fetch(`${resource}/write`)).status).toBe(200)
    expect(tokenRequests().map((form) => form.get('scope'))).toEqual([null, 'read write'])
  })

  it('widens the scope of all later tokens', async () => {
    const { source, clock, resource, tokenRequests } = await startResource({
      answer: strict,
      token: scoped,
      scope: 'read',
    })
    await source.fetch(`${resource}/write`)
    clock.advance(3600)
    await source.token()
    expect(tokenRequests().at(-1)?.get('scope')).toBe('read write')
  })

  it('does not delay other requests, which use the old token', async () => {
    let grant: (() => void) | undefined
    const { source, resource, bearers } = await startResource({
      answer: strict,
      scope: 'read',
      async token(request) {
        if (request.form.get('scope') !== 'read') {
          await new Promise<void>((resolve) => {
            grant = resolve
          })
        }
        return scoped(request)
      },
    })
    const waiting = source.fetch(`${resource}/write`)
    await until(() => grant !== undefined)
    expect((await source.fetch(`${resource}/read`)).status).toBe(200)
    grant?.()
    expect((await waiting).status).toBe(200)
    expect(bearers()).toEqual(['of.read', 'of.read', 'of.read.write'])
  })
})

describe('concurrent requests that lack different scopes', () => {
  it('each get a token with their scope, and no token is requested twice', async () => {
    const { source, resource, tokenRequests } = await startResource({
      answer: strict,
      token: scoped,
      scope: 'read',
    })
    await source.token()
    const paths = ['write', 'write', 'read']
    const all = paths.map((path) => source.fetch(`${resource}/${path}`))
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([200, 200, 200])
    expect(tokenRequests().map((form) => form.get('scope'))).toEqual(['read', 'read write'])
  })
})

/** A 403 with this challenge. */
function forbidden(challenge: string): Response {
  return new Response('no', { status: 403, headers: { 'www-authenticate': challenge } })
}

const unanswerable: [string, string, () => Response][] = [
  ['names no scope', 'read', () => insufficient('')],
  ['names a scope that the token has', 'read write', () => insufficient(', scope="write"')],
  ['has another error', 'read', () => forbidden('Bearer error="invalid_token", scope="write"')],
  ['has no error', 'read', () => forbidden('Bearer realm="mcp"')],
  ['is of another scheme', 'read', () => forbidden('DPoP error="insufficient_scope", scope="a"')],
  ['has a malformed header', 'read', () => forbidden('"')],
  ['has no challenge', 'read', () => new Response(null, { status: 403 })],
]

describe('the caller gets a 403, and it costs no signature, when it', () => {
  it.each(unanswerable)('%s', async (_what, scope, answer) => {
    const { source, api, resource } = await startResource({
      answer,
      token: scoped,
      scope,
    })
    const token = await source.token()
    const signatures = await signaturesOf(async () => {
      expect((await source.fetch(resource)).status).toBe(403)
    })
    expect(signatures).toEqual([])
    expect(api.requests).toHaveLength(1)
    expect(await source.token()).toBe(token)
  })

  it('answers a request whose body cannot be sent again', async () => {
    const { source, resource, tokenRequests } = await startResource({ answer: strict })
    const body = new Blob(['streamed']).stream()
    const init = { method: 'POST', body, duplex: 'half' } as const
    expect((await source.fetch(`${resource}/write`, init)).status).toBe(403)
    await source.token()
    expect(tokenRequests()).toHaveLength(1)
  })
})

describe('when the authorization server does not grant the missing scope', () => {
  it('and grants less, the caller gets the 403 after one retry, and not every 403 causes a renewal', async () => {
    const { source, resource, api, tokenRequests } = await startResource({
      answer: strict,
      token: () => tokenResponse({ access_token: 'of.read', scope: 'read' }),
      scope: 'read',
    })
    for (let round = 0; round < 5; round += 1) {
      expect((await source.fetch(`${resource}/write`)).status).toBe(403)
    }
    expect(tokenRequests()).toHaveLength(2)
    expect(api.requests).toHaveLength(6)
  })

  it('and answers with an error, the caller gets the error, and the granted scope is still renewed', async () => {
    const { source, clock, resource, tokenRequests } = await startResource({
      answer: strict,
      token: (request) =>
        request.form.get('scope') === 'read' ? scoped(request) : errorResponse('invalid_scope'),
      scope: 'read',
    })
    for (let minute = 0; minute < 54; minute += 1) {
      const refused = source.fetch(`${resource}/write`)
      expect(await refusal(() => refused)).toMatchObject({ error: 'invalid_scope' })
      expect((await source.fetch(`${resource}/write`)).status).toBe(403)
      expect((await source.fetch(`${resource}/read`)).status).toBe(200)
      clock.advance(61)
    }
    await refusal(() => source.fetch(`${resource}/write`))
    clock.advance(6)
    expect(await source.token()).toBe('of.read')
    await expect.poll(() => tokenRequests().at(-1)?.get('scope')).toBe('read')
    clock.advance(7200)
    expect((await source.fetch(`${resource}/read`)).status).toBe(200)
  })

  it('a caller that waits for the same request, but needs no more scope, gets a token', async () => {
    let refuse: (() => void) | undefined
    const { source, clock, resource } = await startResource({
      answer: strict,
      scope: 'read',
      async token(request) {
        if (request.form.get('scope') === 'read') return scoped(request)
        await new Promise<void>((resolve) => {
          refuse = resolve
        })
        return errorResponse('invalid_scope')
      },
    })
    const more = refusal(() => source.fetch(`${resource}/write`))
    await until(() => refuse !== undefined)
    clock.advance(3600)
    const same = source.fetch(`${resource}/read`)
    refuse?.()
    expect(await more).toMatchObject({ error: 'invalid_scope' })
    expect((await same).status).toBe(200)
  })
})

it('after a 401 that names a scope, a token with that scope is requested', async () => {
  const { source, resource, tokenRequests } = await startResource({
    answer: ({ headers }) =>
      bearerOf(headers) === 'of.read.write'
        ? new Response('welcome')
        : new Response(null, {
            status: 401,
            headers: { 'www-authenticate': 'Bearer scope="write"' },
          }),
    token: scoped,
    scope: 'read',
  })
  expect((await source.fetch(resource)).status).toBe(200)
  expect(tokenRequests()).toHaveLength(2)
})

describe('a hostile resource', () => {
  /** Answers each request with a 403 that asks for new scope values. */
  function widening(valuesEachTime: number): Script {
    let named = 0
    return () => {
      const values = Array.from({ length: valuesEachTime }, () => `scope-${++named}`)
      return insufficient(`, scope="${values.join(' ')}"`)
    }
  }

  async function widestScopeOf(valuesEachTime: number, scope = 'read') {
    const { source, clock, resource, tokenRequests } = await startResource({
      answer: widening(valuesEachTime),
      token: scoped,
      scope,
      metadataLifetimeSeconds: Number.POSITIVE_INFINITY,
    })
    for (let call = 0; call < 150; call += 1) {
      await source.fetch(resource)
      clock.advance(120)
    }
    const scopes = tokenRequests().map((form) => form.get('scope') ?? '')
    return {
      values: Math.max(...scopes.map((value) => value.split(' ').length)),
      octets: Math.max(...scopes.map((value) => Buffer.byteLength(value))),
      requests: scopes.length,
    }
  }

  it('cannot widen the scope beyond 100 values', async () => {
    expect((await widestScopeOf(1)).values).toBe(100)
    const many = await widestScopeOf(1000)
    expect(many.values).toBe(1)
  })

  it('cannot widen the scope beyond 4,096 octets', async () => {
    const long = await widestScopeOf(1, `read ${'x'.repeat(4000)}`)
    expect(long.octets).toBeGreaterThan(4050)
    expect(long.octets).toBeLessThanOrEqual(4096)
  })

  it('cannot add a value that is not in "maxScope", by a 401 or a 403, and the caller gets its response', async () => {
    for (const status of [401, 403]) {
      const { source, resource, api, tokenRequests } = await startResource({
        answer: () =>
          new Response('no', {
            status,
            headers: {
              'www-authenticate': 'Bearer error="insufficient_scope", scope="admin write"',
            },
          }),
        token: scoped,
        scope: 'read',
        maxScope: 'write list',
      })
      const response = await source.fetch(resource)
      expect([response.status, await response.text()]).toEqual([status, 'no'])
      expect(tokenRequests().map((form) => form.get('scope'))).toEqual(['read', 'read write'])
      expect(api.requests).toHaveLength(2)
    }
  })

  it('costs no signature when nothing that it asks for is in "maxScope"', async () => {
    const { source, resource, tokenRequests } = await startResource({
      answer: widening(3),
      token: scoped,
      scope: 'read',
      maxScope: '',
    })
    for (let call = 0; call < 10; call += 1) {
      expect((await source.fetch(resource)).status).toBe(403)
    }
    expect(tokenRequests()).toHaveLength(1)
  })
})

it('the caller\'s own scope may have any size, and values that are not in "maxScope"', async () => {
  const scope = Array.from({ length: 200 }, (_, index) => `own-${index}`).join(' ')
  const { source, tokenRequests } = await startResource({ scope, maxScope: 'read' })
  await source.token()
  expect(tokenRequests()[0]?.get('scope')).toBe(scope)
})

it.each([
  ['write read', undefined, 'write read'],
  ['write read', 'read list', 'read'],
  ['write', '', undefined],
  [undefined, 'read', undefined],
  ['write write', undefined, 'write'],
  [Array.from({ length: 101 }, (_, index) => index).join(' '), undefined, undefined],
  ['é'.repeat(2049), undefined, undefined],
  ['é'.repeat(2048), undefined, 'é'.repeat(2048)],
])('limitScope(%j, %j) returns %j', (scope, limit, expected) => {
  expect(limitScope(scope, limit)).toBe(expected)
})
