import { clientAssertion } from '@countersign/core'
import { clientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
import { type ClientAuthentication, externalAssertion, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { authorize, connect, majors } from './clients.ts'
import { silenceWarnings } from './closing.ts'
import { InteractiveProvider } from './interactive-provider.ts'
import { type ScriptedLine, startScriptedLine } from './scripted-line.ts'

const bank = 'https://bank.example'

/** Ways to make an assertion for another server than the one it is about to be sent to. */
const mistakes: Readonly<Record<string, (line: ScriptedLine) => ClientAuthentication>> = {
  'a fixed audience': ({ signer }) => privateKeyJwt(signer, { audience: bank }),
  'the token endpoint of another server as audience': ({ signer }) =>
    privateKeyJwt(signer, { audience: `${bank}/token` }),
  'an assertion that was made elsewhere for another server': ({ signer }) =>
    externalAssertion(() => clientAssertion(signer, { clientId: 'agent', audience: bank })),
}

const ways = majors.flatMap((major) => [
  { major, through: 'provider.fetch' },
  { major, through: 'the SDK alone' },
  { major, through: 'the SDK’s own flow over provider.fetch' },
])

describe.each(ways)('on SDK $major, through $through', ({ major, through }) => {
  async function connectWith(
    line: ScriptedLine,
    authentication: ClientAuthentication,
    issuer?: string,
  ) {
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication, issuer })
    const { url } = line.resource
    if (through.startsWith('the SDK’s own')) {
      await authorize(major, provider, { serverUrl: url, fetchFn: provider.fetch })
      return
    }
    const fetch = through === 'provider.fetch' ? provider.fetch : undefined
    const client = await connect(major, url, { authProvider: provider, fetch })
    await client.close()
  }

  it.each(Object.entries(mistakes))(
    'an MCP server that names its own authorization server gets nothing from a client with %s',
    async (_which, mistake) => {
      const line = await startScriptedLine()
      await expect(connectWith(line, mistake(line))).rejects.toMatchObject({
        code: 'ERR_OAUTH_AUDIENCE',
      })
      expect(line.as.credentials).toEqual([])
      expect(line.resource.credentials).toEqual([])
    },
  )

  it('nothing is signed for another audience', async () => {
    const line = await startScriptedLine()
    const authentication = privateKeyJwt(line.signer, { audience: bank })
    await expect(connectWith(line, authentication)).rejects.toThrow()
    expect(line.signatures).toEqual([])
  })

  it.each(Object.entries(mistakes))(
    'the pinned authorization server gets what it wants from a client with %s',
    async (_which, mistake) => {
      const line = await startScriptedLine()
      await connectWith(line, mistake(line), line.as.url)
      expect(line.as.credentials.map(audienceOf)).toEqual([
        expect.stringMatching(/^https:\/\/bank\.example/),
      ])
    },
  )

  it('no pin is needed for the token endpoint of the server itself', async () => {
    const line = await startScriptedLine()
    await connectWith(line, privateKeyJwt(line.signer, { audience: 'token_endpoint' }))
    expect(line.as.credentials.map(audienceOf)).toEqual([`${line.as.url}/token`])
  })
})

describe.each(majors)('an interactive client on SDK %s', (major) => {
  async function refresh(
    line: ScriptedLine,
    authentication: ClientAuthentication,
    issuer?: string,
  ) {
    silenceWarnings()
    const interactive = new InteractiveProvider('agent')
    interactive.saveTokens({ access_token: 'old', token_type: 'bearer', refresh_token: 'r' })
    const authProvider = withClientAuthentication(interactive, authentication, { issuer })
    await connect(major, line.resource.url, { authProvider }).then(
      (client) => client.close(),
      () => {},
    )
  }

  it.each(Object.entries(mistakes))(
    'sends nothing to an unpinned authorization server with %s, and to the pinned one what it wants',
    async (_which, mistake) => {
      const unpinned = await startScriptedLine()
      await refresh(unpinned, mistake(unpinned))
      expect(unpinned.as.requests.map(({ path }) => path)).not.toContain('/token')
      const pinned = await startScriptedLine()
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
