import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { signerFromUri } from '@countersign/uri'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { countersign } from '../cli/command.ts'
import { callByFastMcp } from './clients.ts'
import { type Transcript, useAllFeatures } from './features.ts'
import { clientId, type Scene, startScene } from './scene.ts'

let scene: Scene
beforeAll(async () => {
  scene = await startScene()
}, 600_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

it('the servers accept no client without a token', async () => {
  for (const { guard } of [scene.everything, scene.fastMcp]) {
    const { status } = await fetch(guard.url, { method: 'POST', body: '{}' })
    expect(status).toBe(401)
  }
})

it('FastMCP calls a tool of a remote server with the headers of countersign headers', async () => {
  const { guard } = scene.everything
  const { code, stdout, said } = await countersign(['headers', guard.url, ...scene.options], {
    env: scene.env,
  })
  expect(code, said).toBe(0)
  const remote = { transport: 'http', url: guard.url, headers: JSON.parse(stdout) }
  const text = JSON.stringify({ mcpServers: { remote } })
  expect(await callByFastMcp(text, 'get-sum', { a: 2, b: 40 })).toContain(
    'The sum of 2 and 40 is 42.',
  )
}, 60_000)

describe('every feature of server-everything is the same as directly', () => {
  let direct: Transcript
  beforeAll(async () => {
    const url = new URL(scene.everything.directUrl)
    direct = await useAllFeatures(new StreamableHTTPClientTransport(url))
  }, 60_000)

  it('with the fetch of a provider', async () => {
    await using signer = await signerFromUri(scene.key)
    const { fetch } = clientCredentialsProvider({
      clientId,
      issuer: scene.issuer,
      authentication: privateKeyJwt(signer),
    })
    const url = new URL(scene.everything.guard.url)
    expect(await useAllFeatures(new StreamableHTTPClientTransport(url, { fetch }))).toEqual(direct)
  }, 90_000)
})
