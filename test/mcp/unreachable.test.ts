import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource, unauthorized } from '../servers/hostile-resource.js'
import type { Answer } from '../servers/scripted-server.js'
import { connect, majors } from './clients.ts'
import { closing } from './closing.ts'
import { answerAsMcp, bearer } from './scripted-mcp.ts'
import { newSigner } from './servers.ts'

interface Trouble {
  readonly resource?: () => Answer
  readonly server?: () => Answer
  readonly issuer?: string
  readonly unreachable?: boolean
  readonly code: string
}

const unavailable = (retryAfter?: string) => () =>
  new Response(null, {
    status: 503,
    headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter },
  })

const troubles: Readonly<Record<string, Trouble>> = {
  'answers 503': { server: unavailable(), code: 'ERR_OAUTH_UNAVAILABLE' },
  'answers 503 and asks for an hour': {
    server: unavailable('3600'),
    code: 'ERR_OAUTH_UNAVAILABLE',
  },
  'is unreachable': { unreachable: true, code: 'ERR_OAUTH_UNAVAILABLE' },
  'names a wrong issuer': { issuer: 'https://other.example', code: 'ERR_OAUTH_ISSUER_MISMATCH' },
  'publishes no metadata': {
    server: () => new Response(null, { status: 404 }),
    code: 'ERR_OAUTH_DISCOVERY',
  },
  'cannot be discovered, because the metadata of the resource answers 503': {
    resource: unavailable(),
    code: 'ERR_OAUTH_UNAVAILABLE',
  },
  'cannot be discovered, because the metadata of the resource asks for an hour': {
    resource: unavailable('3600'),
    code: 'ERR_OAUTH_UNAVAILABLE',
  },
  'cannot be discovered, because the metadata of the resource is empty': {
    resource: () => Response.json({}),
    code: 'ERR_OAUTH_DISCOVERY',
  },
}

/** Starts an MCP server, an authorization server that fails, and a clock that the test sets. */
async function startTrouble({ resource, server, issuer, unreachable }: Trouble) {
  let trouble = true
  const as = closing(
    await startScriptedAuthorizationServer({
      metadata: (url) => ({ issuer: (trouble && issuer) || url }),
    }),
  )
  const discoveries: number[] = []
  const mcp = closing(
    await startScriptedResource({
      authorizationServers: [as.url],
      answer: (request, self) =>
        bearer(request) === undefined ? unauthorized(self) : answerAsMcp(request),
    }),
  )
  let now = 1_800_000_000_000
  const authentication = privateKeyJwt(await newSigner())
  const provider = clientCredentialsProvider({
    clientId: 'agent',
    authentication,
    now: () => now,
    async fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : input)
      if (!url.pathname.startsWith('/.well-known/')) return fetch(input, init)
      discoveries.push(now)
      const ofResource = url.pathname.includes('oauth-protected-resource')
      if (trouble && unreachable && !ofResource) throw new TypeError('fetch failed')
      const answer = trouble ? (ofResource ? resource : server)?.() : undefined
      return answer instanceof Response ? answer : fetch(input, init)
    },
  })
  return {
    mcp,
    provider,
    discoveries,
    call: () => provider.fetch(mcp.url, { method: 'POST', body: '{"method":"ping"}' }),
    pass(seconds: number) {
      now += seconds * 1000
    },
    end() {
      trouble = false
    },
  }
}

describe('an authorization server that', () => {
  it.each(Object.entries(troubles))(
    '%s is asked with delays, not at each of the 300 calls of an hour',
    async (what, trouble) => {
      const { call, pass, discoveries, end } = await startTrouble(trouble)
      for (let number = 0; number < 300; number++) {
        await expect(call()).rejects.toMatchObject({ code: trouble.code })
        pass(12)
      }
      const attempts = new Set(discoveries).size
      if (what.includes('hour')) expect(attempts).toBe(1)
      else {
        expect(attempts).toBeGreaterThan(30)
        expect(attempts).toBeLessThan(140)
      }
      // Retry-After is honoured up to an hour, and a quarter of it more at random.
      end()
      pass(what.includes('hour') ? 1000 : 60)
      expect((await call()).ok).toBe(true)
    },
  )
})

describe.each(majors)('on SDK %s', (major) => {
  it('20 connections in a row to such a server cost few requests, and each says why it failed', async () => {
    const trouble = troubles['answers 503'] as Trouble
    const { mcp, provider, discoveries, pass, end } = await startTrouble(trouble)
    const connection = { fetch: provider.fetch }
    for (let attempt = 0; attempt < 20; attempt++) {
      await expect(connect(major, mcp.url, connection)).rejects.toMatchObject({
        code: 'ERR_OAUTH_UNAVAILABLE',
        status: 503,
      })
    }
    expect(discoveries.length).toBeLessThan(10)
    end()
    pass(60)
    const client = closing(await connect(major, mcp.url, connection))
    expect(await client.call('any')).toBe('ok')
  })
})
