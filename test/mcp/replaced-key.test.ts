import { jwks } from '@countersign/core'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { connect, majors } from './clients.ts'
import { closing } from './closing.ts'
import { newSigner, startLine } from './line.ts'
import { replacedKey } from './replaced-key.ts'

describe.each(majors)('a key that was replaced, on SDK %s', (major) => {
  it.each([
    ['with provider.fetch', true],
    ['without provider.fetch', false],
  ])('opens the MCP server all the same, %s', async (_how, withFetch) => {
    const next = await newSigner()
    const { as, mcp } = await startLine({ client: { jwks: jwks(next) } })
    const key = await replacedKey(next)
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      authentication: privateKeyJwt(key.source),
    })
    const fetch = withFetch ? provider.fetch : undefined
    const client = closing(await connect(major, mcp.url, { authProvider: provider, fetch }))
    expect(await client.call('whoami')).toBe('agent')
    const sent = as.tokenRequests.map(({ assertion, status }) => [assertion?.header.kid, status])
    expect(sent).toEqual([
      [expect.not.stringMatching(next.kid), 401],
      [next.kid, 200],
    ])
    expect(key.loads).toBe(2)
  })
})
