import { clientAssertion } from '@countersign/core'
import { withClientAuthentication } from '@countersign/mcp'
import { type ClientAuthentication, externalAssertion, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { authorize, connect, majors, provide, ways } from './clients.ts'
import { silenceWarnings } from './closing.ts'
import { InteractiveProvider } from './interactive-provider.ts'
import { type ScriptedServers, startScriptedServers } from './scripted-servers.ts'

const bank = 'https://bank.example'

/** Client authentications that make an assertion for another server than the one it is sent to. */
const mistakes: Readonly<Record<string, (servers: ScriptedServers) => ClientAuthentication>> = {
  'a fixed audience': ({ signer }) => privateKeyJwt(signer, { audience: bank }),
  'the token endpoint of another server as audience': ({ signer }) =>
    privateKeyJwt(signer, { audience: `${bank}/token` }),
  'an assertion that was made elsewhere for another server': ({ signer }) =>
    externalAssertion(() => clientAssertion(signer, { clientId: 'agent', audience: bank })),
}

/** As `OAuthClientProvider`, in the SDK's own flow, with and without `provider.fetch`. */
const flows = majors.flatMap(
  (major) =>
    [
      { major, way: 'OAuthClientProvider', flow: 'its own flow with' },
      { major, way: 'OAuthClientProvider', flow: 'its own flow without' },
    ] as const,
)
const cases = [...ways.map((way) => ({ ...way, flow: 'the transport and' })), ...flows]

describe.each(cases)('on SDK $major, through $flow $way', ({ flow, ...way }) => {
  async function connectWith(
    servers: ScriptedServers,
    authentication: ClientAuthentication,
    issuer?: string,
  ) {
    const { url } = servers.resource
    const settings = { clientId: 'agent', authentication, issuer }
    const { provider, connection } = provide(way, url, settings)
    if (flow.startsWith('its own flow')) {
      const fetchFn = flow.endsWith('with') ? provider.fetch : fetch
      await authorize(way.major, provider, { serverUrl: url, fetchFn })
      return
    }
    const client = await connect(way.major, url, connection)
    await client.close()
  }

  it.each(Object.entries(mistakes))(
    'an MCP server that names its own authorization server gets nothing from a client with %s',
    async (_which, mistake) => {
      const servers = await startScriptedServers()
      await expect(connectWith(servers, mistake(servers))).rejects.toMatchObject({
        code: 'ERR_OAUTH_AUDIENCE',
      })
      expect(servers.as.credentials).toEqual([])
      expect(servers.resource.credentials).toEqual([])
    },
  )

  it('nothing is signed for another audience', async () => {
    const servers = await startScriptedServers()
    const authentication = privateKeyJwt(servers.signer, { audience: bank })
    await expect(connectWith(servers, authentication)).rejects.toThrow()
    expect(servers.signatures).toEqual([])
  })

  it.each(Object.entries(mistakes))(
    'the pinned authorization server gets what it wants from a client with %s',
    async (_which, mistake) => {
      const servers = await startScriptedServers()
      await connectWith(servers, mistake(servers), servers.as.url)
      expect(servers.as.credentials.map(audienceOf)).toEqual([
        expect.stringMatching(/^https:\/\/bank\.example/),
      ])
    },
  )

  it('no pin is needed for the token endpoint of the server itself', async () => {
    const servers = await startScriptedServers()
    await connectWith(servers, privateKeyJwt(servers.signer, { audience: 'token_endpoint' }))
    expect(servers.as.credentials.map(audienceOf)).toEqual([`${servers.as.url}/token`])
  })
})

describe.each(majors)('an interactive client on SDK %s', (major) => {
  async function refresh(
    servers: ScriptedServers,
    authentication: ClientAuthentication,
    issuer?: string,
  ) {
    silenceWarnings()
    const interactive = new InteractiveProvider('agent')
    interactive.saveTokens({ access_token: 'old', token_type: 'bearer', refresh_token: 'r' })
    const authProvider = withClientAuthentication(interactive, authentication, { issuer })
    await connect(major, servers.resource.url, { authProvider }).then(
      (client) => client.close(),
      () => {},
    )
  }

  it.each(Object.entries(mistakes))(
    'sends nothing to an unpinned authorization server with %s, and to the pinned one what it wants',
    async (_which, mistake) => {
      const unpinned = await startScriptedServers()
      await refresh(unpinned, mistake(unpinned))
      expect(unpinned.as.requests.map(({ path }) => path)).not.toContain('/token')
      const pinned = await startScriptedServers()
      await refresh(pinned, mistake(pinned), pinned.as.url)
      expect(pinned.as.credentials.map(audienceOf)).toEqual([
        expect.stringMatching(/^https:\/\/bank\.example/),
      ])
    },
  )
})

function audienceOf(assertion: string): unknown {
  const [, claims = ''] = assertion.split('.')
  return JSON.parse(Buffer.from(claims, 'base64url').toString()).aud
}
