import { jwks } from '@countersign/core'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { connect, provide, ways } from './clients.ts'
import { closing } from './closing.ts'
import { replacedKey } from './replaced-key.ts'
import { newSigner, startServers } from './servers.ts'

describe.each(ways)('a key that was replaced, on SDK $major through $way', (way) => {
  it('is loaded again, and the client is authorized', async () => {
    const next = await newSigner()
    const { as, mcp } = await startServers({ client: { jwks: jwks(next) } })
    const key = await replacedKey(next)
    const { connection } = provide(way, mcp.url, {
      clientId: 'agent',
      authentication: privateKeyJwt(key.source),
    })
    const client = closing(await connect(way.major, mcp.url, connection))
    expect(await client.call('whoami')).toBe('agent')
    const sent = as.tokenRequests.map(({ assertion, status }) => [assertion?.header.kid, status])
    expect(sent).toEqual([
      [expect.not.stringMatching(next.kid), 401],
      [next.kid, 200],
    ])
    expect(key.loads).toBe(2)
  })
})
