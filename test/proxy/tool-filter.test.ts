import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { type RawHost, startHost } from './hosts.ts'
import { type StatefulServer, startStateful } from './stateful-server.ts'

let fixtures: Fixtures
let server: StatefulServer
beforeAll(async () => {
  fixtures = await startFixtures()
  server = await startStateful(fixtures)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await fixtures[Symbol.asyncDispose]()
})

async function start(...args: readonly string[]): Promise<RawHost> {
  const host = startHost({ url: server.url, env: fixtures.env, args })
  onTestFinished(() => void host.end())
  await host.initialize()
  return host
}

const list = async (host: RawHost): Promise<string[]> =>
  (await host.request('tools/list'))['result'].tools.map(({ name }: { name: string }) => name)
const callTool = (host: RawHost, name: string, args: object) =>
  host.request('tools/call', { name, arguments: args })

test('--allow-tool and --deny-tool hide tools from the list, and refuse their calls', async () => {
  const host = await start('--allow-tool', 'c*t', '--allow-tool', '*o', '--deny-tool', 'echo')
  expect(await list(host)).toEqual(['count'])
  const { error } = await callTool(host, 'echo', { text: 'refused' })
  expect(error.code).toBe(-32602)
  expect(error.message).toMatch(/do not allow the tool "echo"; change --allow-tool or --deny-tool/)
  expect((await callTool(host, 'count', { value: 1 }))['result'].content[0].text).toBe('1')
})

test('--read-only shows the tools that say that they change nothing, and refuses calls of the others', async () => {
  const host = await start('--read-only')
  expect(await list(host)).toEqual(['echo'])
  const before = server.counted.length
  const { error } = await callTool(host, 'count', { value: 2 })
  expect(error.message).toMatch(/"count" has not been listed as one that changes nothing/)
  expect(server.counted).toHaveLength(before)
  expect((await callTool(host, 'echo', { text: 'read' }))['result'].content[0].text).toBe('read')
})

test('--read-only reads the list itself for a host that calls a tool at once', async () => {
  const host = await start('--read-only')
  expect((await callTool(host, 'echo', { text: 'read' }))['result'].content[0].text).toBe('read')
  const { error } = await callTool(host, 'count', { value: 3 })
  expect(error.message).toMatch(/"count" has not been listed/)
  expect(server.counted).not.toContain(3)
  expect(host.received).toHaveLength(3)
})
