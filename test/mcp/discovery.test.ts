import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { connect, majors } from './clients.ts'
import { closing } from './closing.ts'
import { startScriptedLine } from './scripted-line.ts'

const ways = majors.flatMap((major) => [
  { major, withFetch: true, way: 'with fetch: provider.fetch' },
  { major, withFetch: false, way: 'with a fetch of its own' },
])

describe.each(ways)('what was discovered, on SDK $major $way', ({ major, withFetch }) => {
  async function connected(metadataLifetimeSeconds?: number) {
    const line = await startScriptedLine({ grant: () => ({ expires_in: 100_000 }) })
    let passed = 0
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      authentication: privateKeyJwt(line.signer),
      now: () => Date.now() + passed,
      metadataLifetimeSeconds,
    })
    const fetch = withFetch ? provider.fetch : undefined
    const client = closing(
      await connect(major, line.resource.url, { authProvider: provider, fetch }),
    )
    const pass = (seconds: number) => {
      passed += seconds * 1000
    }
    await line.streamAsked()
    line.spent()
    return { ...line, provider, client, pass }
  }

  // An SDK's own flow asks the resource and its authorization server each time.
  const ofFlow = withFetch ? 0 : 2

  it('is used for an hour, and the authorization server is then asked again', async () => {
    const { client, accepted, pass, spent } = await connected()
    pass(3500)
    accepted.clear()
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: ofFlow })
    pass(3700)
    accepted.clear()
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: withFetch ? 1 : 2 })
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
    expect(spent().discovery).toBe(withFetch ? 1 : 2)
  })

  it('may be kept for hardly any time', async () => {
    const { client, claims, as, accepted, spent } = await connected(0.001)
    claims.scopesSupported = ['use']
    accepted.clear()
    expect(await client.call('any')).toBe('ok')
    expect(spent()).toMatchObject({ signatures: 1, tokenRequests: 1 })
    expect(as.requests.at(-1)?.form.get('scope')).toBe(withFetch ? null : 'use')
  })

  it('is forgotten on demand, and so are the tokens', async () => {
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

  it('does not keep a client from following a resource that moves at once', async () => {
    const { client, move } = await connected()
    const other = await move()
    expect(await client.call('any')).toBe('ok')
    expect(other.credentials).toHaveLength(1)
  })

  it.each([
    ['goes on granting tokens', false],
    ['is gone', true],
  ])(
    'leads, when it is old, to where the resource has moved, though its old server %s',
    async (_what, gone) => {
      const { client, as, move, pass, spent } = await connected()
      const other = await move()
      if (gone) await as.close()
      pass(gone ? 100_000 : 3700)
      // v1 by itself gives up on calls that are refused while the flow of another ends.
      const calls = Array.from({ length: withFetch ? 20 : 1 }, () => client.call('any'))
      expect(new Set(await Promise.all(calls))).toEqual(new Set(['ok']))
      const asked = other.requests.filter(({ path }) => path === '/token')
      if (withFetch) expect(asked).toHaveLength(1)
      // One for the server as it was known, which may be tried again while it does not answer, and one for the other.
      expect(spent().signatures).toBeLessThanOrEqual(gone ? 5 : 2)
      expect(await client.call('any')).toBe('ok')
      expect(spent().signatures).toBe(0)
    },
  )
})
