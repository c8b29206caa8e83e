import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { connect, provide, ways } from './clients.ts'
import { closing } from './closing.ts'
import { startScriptedServers } from './scripted-servers.ts'

describe.each(ways)('a discovery, on SDK $major through $way', (way) => {
  async function connected(metadataLifetimeSeconds?: number) {
    const servers = await startScriptedServers({ grant: () => ({ expires_in: 100_000 }) })
    let passed = 0
    const { provider, connection } = provide(way, servers.resource.url, {
      clientId: 'agent',
      authentication: privateKeyJwt(servers.signer),
      now: () => Date.now() + passed,
      metadataLifetimeSeconds,
    })
    const client = closing(await connect(way.major, servers.resource.url, connection))
    const pass = (seconds: number) => {
      passed += seconds * 1000
    }
    await servers.streamAsked()
    servers.spent()
    return { ...servers, provider, client, pass }
  }

  // Each of an SDK's own flows discovers again.
  const hasOwnFlow = way.way === 'OAuthClientProvider'
  const ofFlow = hasOwnFlow ? 2 : 0

  it('is used for an hour, and the authorization server is then asked again', async () => {
    const { client, accepted, pass, spent } = await connected()
    pass(3500)
    accepted.clear()
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: ofFlow })
    pass(3700)
    accepted.clear()
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: hasOwnFlow ? 2 : 1 })
  })

  it('is used for as long as the caller says', async () => {
    const { client, accepted, pass, spent } = await connected(10)
    pass(9)
    accepted.clear()
    expect(await client.call('any')).toBe('ok')
    expect(spent().discovery).toBe(ofFlow)
    pass(11)
    accepted.clear()
    expect(await client.call('any')).toBe('ok')
    expect(spent().discovery).toBe(hasOwnFlow ? 2 : 1)
  })

  it('may be used for a millisecond only', async () => {
    const { client, claims, as, accepted, spent } = await connected(0.001)
    claims.scopesSupported = ['use']
    accepted.clear()
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toMatchObject({ signatures: 1, tokenRequests: 1 })
    expect(as.requests.at(-1)?.form.get('scope')).toBe(hasOwnFlow ? 'use' : null)
  })

  it('is dropped on demand, and so are the tokens', async () => {
    const { client, provider, spent } = await connected()
    provider.invalidateCredentials('tokens')
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 0 })
    provider.invalidateCredentials('all')
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 2 })
    for (const what of ['client', 'verifier'] as const) provider.invalidateCredentials(what)
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual({ signatures: 0, tokenRequests: 0, discovery: 0 })
    provider.invalidateCredentials('discovery')
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 2 })
  })

  it('does not prevent a client from following a resource that moves', async () => {
    const { client, move } = await connected()
    const other = await move()
    expect(await client.call('any')).toBe('ok')
    expect(other.credentials).toHaveLength(1)
  })

  it.each([
    ['goes on granting tokens', false],
    ['is gone', true],
  ])(
    'that is too old is replaced when the resource has moved, and the old server %s',
    async (_what, gone) => {
      const { client, as, move, pass, spent } = await connected()
      const other = await move()
      if (gone) await as.close()
      pass(gone ? 100_000 : 3700)
      // In its own flow, v1 fails calls that are refused while another call's flow ends.
      const calls = Array.from({ length: hasOwnFlow ? 1 : 20 }, () => client.call('any'))
      expect(new Set(await Promise.all(calls))).toEqual(new Set(['ok']))
      const asked = other.requests.filter(({ path }) => path === '/token')
      if (!hasOwnFlow) expect(asked).toHaveLength(1)
      // One for the old server, retried while it does not answer, and one for the other.
      expect(spent().signatures).toBeLessThanOrEqual(gone ? 5 : 2)
      expect(await client.call('any')).toBe('ok')
      expect(spent().signatures).toBe(0)
    },
  )
})
