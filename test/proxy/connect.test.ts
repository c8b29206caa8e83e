import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { startMcpServer, type TestMcpServer } from '../servers/mcp-server.js'
import { PAIR_SCOPE } from '../servers/pair.js'
import { connectV1, connectV2, startHost } from './hosts.ts'

let fixtures: Fixtures
let v1: TestMcpServer

beforeAll(async () => {
  fixtures = await startFixtures()
  const { authorizationServer } = fixtures.servers
  v1 = await startMcpServer({
    issuer: authorizationServer.issuer,
    sdk: 'v1',
    scopesSupported: [PAIR_SCOPE],
    requiredScopes: [PAIR_SCOPE],
  })
  authorizationServer.registerResource(v1.url, [PAIR_SCOPE])
})
afterAll(async () => {
  await v1.close()
  await fixtures[Symbol.asyncDispose]()
})

const setting = (server: TestMcpServer) => ({ url: server.url, env: fixtures.env })
const text = (result: object) =>
  (result as { readonly content: readonly { readonly text: string }[] }).content[0]?.text

test.each(['v1', 'v2'] as const)('a host with SDK v1 calls tools of a %s server', async (sdk) => {
  const server = sdk === 'v1' ? v1 : fixtures.servers.mcpServer
  const client = await connectV1(setting(server))
  const { tools } = await client.listTools()
  expect(tools.map(({ name }) => name)).toEqual(['whoami', 'add'])
  expect(text(await client.callTool({ name: 'whoami' }))).toBe('billing-agent')
  expect(text(await client.callTool({ name: 'add', arguments: { a: 2, b: 3 } }))).toBe('5')
})

test.each([
  ['v1', 'legacy'],
  ['v2', 'legacy'],
  ['v1', 'auto'],
  ['v2', 'auto'],
] as const)('a host with SDK v2 calls tools of a %s server, started as %s', async (sdk, mode) => {
  const server = sdk === 'v1' ? v1 : fixtures.servers.mcpServer
  const client = await connectV2(setting(server), mode)
  const { tools } = await client.listTools()
  expect(tools.map(({ name }) => name)).toEqual(['whoami', 'add'])
  expect(text(await client.callTool({ name: 'add', arguments: { a: 2, b: 3 } }))).toBe('5')
})

test('the proxy ends with 0 when the host closes standard input', async () => {
  const host = startHost(setting(v1))
  const { result } = await host.initialize()
  expect(result.serverInfo.name).toBe('countersign-test-v1')
  host.send({ jsonrpc: '2.0', id: 'last', method: 'tools/list' })
  expect(await host.end()).toBe(0)
  expect(host.answers('last')).toHaveLength(1)
  expect(host.said()).toBe('')
})
