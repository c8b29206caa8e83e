import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { insufficientScope, unauthorized } from '../servers/hostile-resource.js'
import { connect, type McpClient, majors, provide, type Way, ways } from './clients.ts'
import { closing } from './closing.ts'
import {
  type ScriptedServers,
  type ScriptedServersOptions,
  startScriptedServers,
} from './scripted-servers.ts'
import { type Servers, type ServersOptions, startServers } from './servers.ts'

/** The scope of the token request that a connection leads to. */
async function askedScope(
  way: Way,
  { scope, ...options }: ScriptedServersOptions & { readonly scope?: string },
): Promise<string | null | undefined> {
  const { as, resource, signer } = await startScriptedServers(options)
  const authentication = privateKeyJwt(signer)
  const settings = { clientId: 'agent', authentication, scope }
  const { connection } = provide(way, resource.url, settings)
  closing(await connect(way.major, resource.url, connection))
  const [request, ...more] = as.requests.filter(({ path }) => path === '/token')
  expect(more).toEqual([])
  return request?.form.get('scope')
}

const challenging: ScriptedServersOptions = {
  refuse: (self) => unauthorized(self, { scope: 'use' }),
}

describe.each(ways)('on SDK $major through $way', (way) => {
  it('everything that the resource supports is asked for when there is no scope and no challenge', async () => {
    expect(await askedScope(way, { scopesSupported: ['use', 'math'] })).toBe('use math')
  })

  it('no scope is asked for when the resource names none', async () => {
    expect(await askedScope(way, {})).toBeNull()
  })

  it('a configured scope is not widened by what the resource supports', async () => {
    const scopesSupported = ['use', 'math', 'admin']
    expect(await askedScope(way, { scope: 'math', scopesSupported })).toBe('math')
  })

  it('the scope of the challenge is asked for', async () => {
    const scopesSupported = ['use', 'math', 'admin']
    expect(await askedScope(way, { ...challenging, scopesSupported })).toBe('use')
    expect(await askedScope(way, challenging)).toBe('use')
  })

  it('the scope of the challenge is added to the configured one', async () => {
    expect(await askedScope(way, { ...challenging, scope: 'math' })).toBe('math use')
  })

  // SDK v1 does not tell its provider the scope of a 403, and v2 answers one only for an OAuthClientProvider.
  const obstacles: Readonly<Record<string, RegExp>> = {
    'v1 OAuthClientProvider': /403 after trying upscoping/,
    'v2 AuthProvider': /insufficient.scope/i,
  }
  const obstacle = obstacles[`${way.major} ${way.way}`]

  it.each(['v1', 'v2'] as const)(
    `a tool that needs more scope, of a server on SDK %s, is ${obstacle === undefined ? 'called with one more token' : 'out of reach'}`,
    async (sdk) => {
      const { client, spent, as } = await connectServers(way, {
        sdk,
        requiredScopes: ['use'],
        toolScopes: { add: 'math' },
      })
      expect(await client.call('whoami')).toBe('agent')
      spent()
      const called = client.call('add', { a: 40, b: 2 })
      if (obstacle === undefined) {
        expect(await called).toBe('42')
        expect(as.tokenRequests.map(({ form }) => form['scope'])).toEqual(['use math'])
        expect(spent()).toMatchObject({ signatures: 1, tokenRequests: 1 })
        await Promise.all([client.call('add', { a: 1, b: 2 }), client.call('whoami')])
        expect(spent()).toEqual({ signatures: 0, tokenRequests: 0, discovery: 0 })
      } else {
        await expect(called).rejects.toThrow(obstacle)
      }
    },
  )
})

describe.each(ways)('on SDK $major through $way, a resource', (way) => {
  /** Connects, calls a tool, and returns what the client asked its authorization server for. */
  async function askedScopes(
    options: ScriptedServersOptions,
    scopes: { readonly scope?: string; readonly maxScope?: string },
  ) {
    const { as, resource, signer } = await startScriptedServers(options)
    const authentication = privateKeyJwt(signer)
    const settings = { clientId: 'agent', authentication, ...scopes }
    const { connection } = provide(way, resource.url, settings)
    for (let attempt = 0; attempt < 3; attempt++) {
      await connect(way.major, resource.url, connection)
        .then(
          (client) => closing(client).call('any'),
          () => {},
        )
        .catch(() => {})
    }
    const requests = as.requests.filter(({ path }) => path === '/token')
    expect(requests.length).toBeGreaterThan(0)
    return requests.map(({ form, body }) => ({ scope: form.get('scope'), octets: body.length }))
  }

  const values = (scope: string | null) => new Set(scope?.split(' '))

  it('gets nothing beyond "scope" and "maxScope", whatever its metadata and challenges ask for', async () => {
    const asked = await askedScopes(
      {
        scopesSupported: ['use', 'delete', 'math'],
        refuse: (self) => unauthorized(self, { scope: 'use delete' }),
        answer: (_request, self) => insufficientScope(self, 'math delete'),
      },
      { maxScope: 'math use' },
    )
    for (const { scope } of asked)
      expect(['use', 'math']).toEqual(expect.arrayContaining([...values(scope)]))
    expect(values(asked[0]?.scope ?? null)).toContain('use')
  })

  it('gets no scope at all with an empty "maxScope" but that of the caller', async () => {
    const asked = await askedScopes(
      {
        scopesSupported: ['delete'],
        refuse: (self) => unauthorized(self, { scope: 'use delete' }),
        answer: (_request, self) => insufficientScope(self, 'math delete'),
      },
      { scope: 'read', maxScope: '' },
    )
    for (const { scope } of asked) expect(scope).toBe('read')
  })

  it('that asks for 1,000 more values each time does not make requests grow', async () => {
    let challenges = 0
    const more = () => {
      challenges++
      return Array.from({ length: 1000 }, (_, value) => `${challenges}-${value}`).join(' ')
    }
    const asked = await askedScopes(
      {
        refuse: (self) => unauthorized(self, { scope: more() }),
        answer: (_request, self) => insufficientScope(self, more()),
      },
      {},
    )
    expect(challenges).toBeGreaterThan(1)
    for (const { octets } of asked) expect(octets).toBeLessThan(8192)
  })

  it('that asks for a few more values each time does not make requests grow', async () => {
    let challenges = 0
    const asked = await askedScopes(
      {
        answer: (_request, self) => {
          challenges++
          const more = Array.from({ length: 40 }, (_, value) => `${challenges}-${value}`)
          return insufficientScope(self, more.join(' '))
        },
      },
      { scope: 'use' },
    )
    for (const { scope } of asked) expect(values(scope).size).toBeLessThanOrEqual(101)
  })
})

describe.each(majors)('on SDK %s', (major) => {
  it('calls that need more scope at once share one token request', async () => {
    const { client, spent } = await connectServers(
      { major, way: 'fetch' },
      { requiredScopes: ['use'], toolScopes: { add: 'math' } },
    )
    spent()
    const sums = Array.from({ length: 20 }, (_, a) => client.call('add', { a, b: 1 }))
    expect(await Promise.all(sums)).toEqual(sums.map((_, a) => String(a + 1)))
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 0 })
  })

  it('a server that refuses each new token for its scope causes an error', async () => {
    const { resource, signer, spent }: ScriptedServers = await startScriptedServers({
      answer: (_request, self) => insufficientScope(self, 'admin'),
    })
    const authentication = privateKeyJwt(signer)
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
    const refused = connect(major, resource.url, { fetch: provider.fetch })
    await expect(refused).rejects.toMatchObject({ code: 'ERR_OAUTH_TOKEN_REFUSED', status: 403 })
    expect(spent().signatures).toBe(2)
  })
})

async function connectServers(
  way: Way,
  options: ServersOptions,
): Promise<Servers & { readonly client: McpClient }> {
  const servers = await startServers(options)
  const authentication = privateKeyJwt(servers.signer)
  const settings = { clientId: 'agent', authentication, scope: 'use' }
  const { connection } = provide(way, servers.mcp.url, settings)
  const client = closing(await connect(way.major, servers.mcp.url, connection))
  return { ...servers, client }
}
