import { readFileSync } from 'node:fs'
import { type ClientCredentialsProvider, clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { connect, type Major, type McpClient, majors, provide, type Way, ways } from './clients.ts'
import { closing } from './closing.ts'
import { bearer } from './scripted-mcp.ts'
import {
  type ScriptedServers,
  type ScriptedServersOptions,
  startScriptedServers,
} from './scripted-servers.ts'
import { type Spent, startServers } from './servers.ts'

const nothing: Spent = { signatures: 0, tokenRequests: 0, discovery: 0 }
const one: Spent = { signatures: 1, tokenRequests: 1, discovery: 0 }

async function atOnce(client: McpClient, expected: string): Promise<void> {
  const calls = Array.from({ length: 100 }, () => client.call('whoami'))
  expect(new Set(await Promise.all(calls))).toEqual(new Set([expected]))
}

/** A row of the table in the package's README. */
function documented(row: string): Spent {
  const readme = new URL('../../packages/mcp/README.md', import.meta.url)
  const lines = readFileSync(readme, 'utf8').split('\n')
  const [, , ...numbers] = lines.find((line) => line.startsWith(`| ${row} `))?.split('|') ?? []
  const [signatures = -1, tokenRequests = -1, discovery = -1] = numbers.map(Number)
  return { signatures, tokenRequests, discovery }
}

describe.each(majors)('100 tool calls at once on SDK %s', (major) => {
  async function connected(sdk: Major) {
    const { signer, as, mcp, spent } = await startServers({ ttlSeconds: 600, sdk })
    let passed = 0
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      issuer: as.issuer,
      authentication: privateKeyJwt(signer),
      now: () => Date.now() + passed,
    })
    const client = closing(await connect(major, mcp.url, { fetch: provider.fetch }))
    spent()
    const pass = (seconds: number) => {
      passed += seconds * 1000
    }
    return { client, provider, mcp, spent, pass }
  }

  it('cost real servers one token request at expiry, and one after a revocation', async () => {
    const { client, pass, mcp, spent } = await connected('v2')
    pass(600)
    await atOnce(client, 'agent')
    expect(spent()).toEqual(one)
    mcp.revokeAll()
    await atOnce(client, 'agent')
    expect(spent()).toEqual(one)
  })

  it('cost one token request without any token yet', async () => {
    const { client, provider, spent } = await connected('v1')
    provider.invalidateCredentials('all')
    await atOnce(client, 'agent')
    expect(spent()).toEqual({ ...one, discovery: 2 })
  })
})

interface Connected extends ScriptedServers {
  readonly client: McpClient
  readonly provider: ClientCredentialsProvider
  /** Sets the provider's clock forward. */
  pass(seconds: number): void
}

async function scripted(way: Way, options: ScriptedServersOptions = {}): Promise<Connected> {
  const servers = await startScriptedServers(options)
  let passed = 0
  const { url } = servers.resource
  const { provider, connection } = provide(way, url, {
    clientId: 'agent',
    authentication: privateKeyJwt(servers.signer),
    now: () => Date.now() + passed,
  })
  const client = closing(await connect(way.major, url, connection))
  await servers.streamAsked()
  servers.spent()
  const pass = (seconds: number) => {
    passed += seconds * 1000
  }
  return { ...servers, client, provider, pass }
}

describe.each(ways)('100 tool calls at once on SDK $major through $way', (way) => {
  const hasOwnFlow = way.way === 'OAuthClientProvider'

  it('cost one signature and one token request at expiry, and then none', async () => {
    const { client, pass, spent } = await scripted(way)
    pass(3599)
    await atOnce(client, 'ok')
    const cost = spent()
    expect(cost).toEqual(one)
    expect(cost).toEqual(documented('at expiry, in each way'))
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual(nothing)
  })

  it('cost after a revocation what the README says', async () => {
    let everyFlow = () => {}
    const flows = new Promise<void>((resolve) => {
      everyFlow = resolve
    })
    const { client, accepted, resource, spent } = await scripted(way, {
      // Each call has a flow of the SDK running before the first flow ends.
      async grant(number) {
        if (number === 101) everyFlow()
        if (number > 1 && hasOwnFlow) await flows
        return {}
      },
    })
    accepted.clear()
    await atOnce(client, 'ok')
    const { discovery, ...cost } = spent()
    const expected = documented(`after a revocation, \`${way.way}\``)
    expect(cost).toEqual({ signatures: expected.signatures, tokenRequests: expected.tokenRequests })
    if (hasOwnFlow) expect(discovery).toBeGreaterThanOrEqual(2)
    else expect(discovery).toBe(expected.discovery)
    expect(cost.signatures).toBe(hasOwnFlow ? 100 : 1)
    // Calls that are refused together share a ping.
    const pings = resource.requests.filter(({ body }) => body.includes('"method":"ping"'))
    expect(pings.length).toBeLessThan(50)
  })
})

describe.each(majors)('on SDK %s', (major) => {
  it('each revocation costs one signature, however soon it follows the last', async () => {
    const { client, accepted, spent } = await scripted({ major, way: 'fetch' })
    for (let round = 0; round < 2; round++) {
      accepted.clear()
      await atOnce(client, 'ok')
      expect(spent()).toEqual(one)
    }
  })

  it('a token near its expiry is renewed in the background, and no call waits for it', async () => {
    let release = () => {}
    const { client, resource, pass, spent } = await scripted(
      { major, way: 'fetch' },
      {
        async grant(number) {
          if (number > 1) {
            await new Promise<void>((resolve) => {
              release = resolve
            })
          }
          return { expires_in: 600 }
        },
      },
    )
    const used = () => resource.requests.map(bearer).at(-1)
    pass(500)
    expect(await Promise.all([client.call('a'), client.call('b')])).toEqual(['ok', 'ok'])
    expect(used()).toBe('token-1')
    await expect.poll(() => spent().tokenRequests).toBe(1)
    expect(await client.call('c')).toBe('ok')
    expect(used()).toBe('token-1')
    release()
    await expect.poll(() => client.call('d').then(used)).toBe('token-2')
    expect(spent().tokenRequests).toBe(0)
  })
})
