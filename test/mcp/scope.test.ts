import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { insufficientScope, unauthorized } from '../servers/hostile-resource.js'
import { connect, type Major, type McpClient, majors } from './clients.ts'
import { closing } from './closing.ts'
import { type Line, type LineOptions, startLine } from './line.ts'
import { type ScriptedLine, type ScriptedLineOptions, startScriptedLine } from './scripted-line.ts'

interface Way {
  readonly major: Major
  readonly withFetch: boolean
}

const ways = majors.flatMap((major) => [
  { major, withFetch: true, way: 'with fetch: provider.fetch' },
  { major, withFetch: false, way: 'with a fetch of its own' },
])

/** The scope of the token request that a connection leads to. */
async function askedScope(
  { major, withFetch }: Way,
  { scope, ...options }: ScriptedLineOptions & { readonly scope?: string },
): Promise<string | null | undefined> {
  const { as, resource, signer } = await startScriptedLine(options)
  const authentication = privateKeyJwt(signer)
  const provider = clientCredentialsProvider({ clientId: 'agent', authentication, scope })
  const fetch = withFetch ? provider.fetch : undefined
  closing(await connect(major, resource.url, { authProvider: provider, fetch }))
  const [request, ...more] = as.requests.filter(({ path }) => path === '/token')
  expect(more).toEqual([])
  return request?.form.get('scope')
}

const challenging: ScriptedLineOptions = { refuse: (self) => unauthorized(self, { scope: 'use' }) }

describe.each(ways)('on SDK $major $way', (way) => {
  const { major, withFetch } = way

  it('everything that the resource supports is asked for when nobody says what', async () => {
    expect(await askedScope(way, { scopesSupported: ['use', 'math'] })).toBe('use math')
  })

  it('no scope is asked for when the resource names none', async () => {
    expect(await askedScope(way, {})).toBeNull()
  })

  it('a configured scope is not widened by what the resource supports', async () => {
    const scopesSupported = ['use', 'math', 'admin']
    expect(await askedScope(way, { scope: 'math', scopesSupported })).toBe('math')
  })

  // v1 keeps the scope of a challenge to itself, unless the answers pass through provider.fetch.
  const toldOfChallenges = major === 'v2' || withFetch

  it(`the scope of the challenge is ${toldOfChallenges ? '' : 'not '}asked for`, async () => {
    const scopesSupported = ['use', 'math', 'admin']
    expect(await askedScope(way, { ...challenging, scopesSupported })).toBe(
      toldOfChallenges ? 'use' : 'use math admin',
    )
    expect(await askedScope(way, challenging)).toBe(toldOfChallenges ? 'use' : null)
  })

  it(`the scope of the challenge is ${toldOfChallenges ? '' : 'not '}added to the configured one`, async () => {
    const asked = await askedScope(way, { ...challenging, scope: 'math' })
    expect(asked).toBe(toldOfChallenges ? 'math use' : 'math')
  })

  it.each(['v1', 'v2'] as const)(
    `a tool that needs more scope, of a server on SDK %s, is ${toldOfChallenges ? 'called with one more token' : 'out of reach'}`,
    async (sdk) => {
      const { client, spent, as } = await line(way, {
        sdk,
        requiredScopes: ['use'],
        toolScopes: { add: 'math' },
      })
      expect(await client.call('whoami')).toBe('agent')
      spent()
      const called = client.call('add', { a: 40, b: 2 })
      if (toldOfChallenges) {
        expect(await called).toBe('42')
        expect(as.tokenRequests.map(({ form }) => form['scope'])).toEqual(['use math'])
        expect(spent()).toMatchObject({ signatures: 1, tokenRequests: 1 })
        await Promise.all([client.call('add', { a: 1, b: 2 }), client.call('whoami')])
        expect(spent()).toEqual({ signatures: 0, tokenRequests: 0, discovery: 0 })
      } else {
        await expect(called).rejects.toThrow(/403 after trying upscoping/)
      }
    },
  )
})

describe.each(ways)('on SDK $major $way, a resource', ({ major, withFetch }) => {
  /** Connects, calls a tool, and returns what the client asked its authorization server for. */
  async function askedScopes(
    options: ScriptedLineOptions,
    scopes: { readonly scope?: string; readonly maxScope?: string },
  ) {
    const { as, resource, signer } = await startScriptedLine(options)
    const authentication = privateKeyJwt(signer)
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication, ...scopes })
    const fetch = withFetch ? provider.fetch : undefined
    const connection = { authProvider: provider, fetch }
    for (let attempt = 0; attempt < 3; attempt++) {
      await connect(major, resource.url, connection)
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
    const { client, spent } = await line(
      { major, withFetch: true },
      { requiredScopes: ['use'], toolScopes: { add: 'math' } },
    )
    spent()
    const sums = Array.from({ length: 20 }, (_, a) => client.call('add', { a, b: 1 }))
    expect(await Promise.all(sums)).toEqual(sums.map((_, a) => String(a + 1)))
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 0 })
  })

  it('a server that asks for more than it grants is answered as it answered', async () => {
    const { resource, signer, spent }: ScriptedLine = await startScriptedLine({
      answer: (_request, self) => insufficientScope(self, 'admin'),
    })
    const authentication = privateKeyJwt(signer)
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
    const refused = connect(major, resource.url, { authProvider: provider, fetch: provider.fetch })
    await expect(refused).rejects.toMatchObject({ code: 'ERR_OAUTH_TOKEN_REFUSED', status: 403 })
    expect(spent().signatures).toBe(2)
  })
})

async function line(
  { major, withFetch }: Way,
  options: LineOptions,
): Promise<Line & { readonly client: McpClient }> {
  const line = await startLine(options)
  const authentication = privateKeyJwt(line.signer)
  const provider = clientCredentialsProvider({ clientId: 'agent', authentication, scope: 'use' })
  const fetch = withFetch ? provider.fetch : undefined
  const client = closing(await connect(major, line.mcp.url, { authProvider: provider, fetch }))
  return { ...line, client }
}
