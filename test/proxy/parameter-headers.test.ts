import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { startGuard } from '../servers/guard.js'
import { listenOnLoopback } from '../servers/loopback.js'
import { connectV2 } from './hosts.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

function mcpServer(): McpServer {
  const server = new McpServer({ name: 'declaring', version: '1.0.0' })
  const inputSchema = z.object({
    region: z.string().meta({ 'x-mcp-header': 'Region' }),
    order: z.object({ count: z.int().meta({ 'x-mcp-header': 'Count' }) }),
    dry: z.boolean().optional().meta({ 'x-mcp-header': 'Dry' }),
  })
  server.registerTool('place', { inputSchema }, ({ region, order }) => ({
    content: [{ type: 'text', text: `${order.count} in ${region}` }],
  }))
  return server
}

test('headers repeat the arguments that a tool declares, and the server accepts the call', async () => {
  const handler = toNodeHandler(createMcpHandler(mcpServer))
  const server = await listenOnLoopback(
    (request, response) => void handler(request as NodeIncomingMessageLike, response),
  )
  onTestFinished(() => server.close())
  const { authorizationServer } = fixtures.servers
  const guard = await startGuard({ target: server.origin, authorizationServer })
  onTestFinished(() => guard.close())
  const client = await connectV2({ url: guard.url, env: fixtures.env }, 'auto')
  await client.listTools()
  const call = (region: string) =>
    client.callTool({ name: 'place', arguments: { region, order: { count: 2 } } })
  const sent = () => {
    const headers = server.requests.at(-1)?.headers ?? {}
    return Object.entries(headers).filter(([name]) => name.startsWith('mcp-param-'))
  }
  expect(await call('eu-west-1')).toMatchObject({ content: [{ text: '2 in eu-west-1' }] })
  expect(Object.fromEntries(sent())).toEqual({
    ...{ 'mcp-param-region': 'eu-west-1', 'mcp-param-count': '2' },
  })
  expect(await call('Zürich')).toMatchObject({ content: [{ text: '2 in Zürich' }] })
  expect(Object.fromEntries(sent())['mcp-param-region']).toBe('=?base64?WsO8cmljaA==?=')
})
