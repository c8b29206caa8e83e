import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { signerFromUri } from '@countersign/uri'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bin, countersign } from '../cli/command.ts'
import { callByFastMcp, clients, fetchClients } from './clients.ts'
import { type Transcript, useAllFeatures } from './features.ts'
import { clientId, type Scene, startScene } from './scene.ts'

let scene: Scene
beforeAll(async () => {
  fetchClients()
  scene = await startScene()
}, 600_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

it('the servers accept no client without a token', async () => {
  for (const { guard } of [scene.everything, scene.fastMcp]) {
    const { status } = await fetch(guard.url, { method: 'POST', body: '{}' })
    expect(status).toBe(401)
  }
})

describe.each(Object.entries(clients))('%s', (_name, client) => {
  it('calls a tool of server-everything with the configuration of a host', async ({ skip }) => {
    if (client.missing !== undefined) skip(`missing: ${client.missing}`)
    const before = scene.tokenRequests()
    const { project, folder } = scene
    const snippet = await scene.snippet(client.host, scene.everything.guard.url)
    const call = { snippet, project, folder, tool: 'get-sum', args: { a: 2, b: 40 } }
    expect(await client.call(call)).toContain('The sum of 2 and 40 is 42.')
    expect(scene.tokenRequests()).toBe(before + 1)
  }, 90_000)

  it('calls a tool of a FastMCP server', async ({ skip }) => {
    if (client.missing !== undefined) skip(`missing: ${client.missing}`)
    const { project, folder, env } = scene
    const args = [bin, 'proxy', scene.fastMcp.guard.url, ...scene.options]
    const entry = { command: process.execPath, args, env }
    const snippet = {
      name: 'fastmcp',
      entry,
      text: JSON.stringify({ mcpServers: { fastmcp: entry } }),
    }
    const call = { snippet, project, folder, tool: 'add', args: { a: 2, b: 40 } }
    expect(await client.call(call)).toContain('The sum of 2 and 40 is 42.')
  }, 90_000)
})

it('FastMCP calls a tool of a remote server with the headers of countersign headers', async () => {
  const { guard } = scene.everything
  const { code, stdout, said } = await countersign(['headers', guard.url, ...scene.options], {
    env: scene.env,
  })
  expect(code, said).toBe(0)
  const remote = { transport: 'http', url: guard.url, headers: JSON.parse(stdout) }
  const text = JSON.stringify({ mcpServers: { remote } })
  expect(await callByFastMcp({ text, tool: 'get-sum', args: { a: 2, b: 40 } })).toContain(
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

  it('through the proxy', async () => {
    const args = [bin, 'proxy', scene.everything.guard.url, ...scene.options]
    const server = { command: process.execPath, args, env: { ...scene.env } }
    expect(await useAllFeatures(new StdioClientTransport(server))).toEqual(direct)
  }, 90_000)
})
