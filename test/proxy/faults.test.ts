import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { until } from '../support/until.js'
import { type Json, type RawHost, startHost } from './hosts.ts'
import { type StatefulServer, startStateful } from './stateful-server.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

async function start(
  args: readonly string[] = [],
): Promise<{ server: StatefulServer; host: RawHost }> {
  const server = await startStateful(fixtures)
  onTestFinished(() => server[Symbol.asyncDispose]())
  const host = startHost({ url: server.url, env: fixtures.env, args })
  return { server, host }
}

const callTool = (host: RawHost, name: string, args: object = {}) =>
  host.request('tools/call', { name, arguments: args })
const textOf = (answer: Json) => answer['result']?.content[0].text

test('a session that the server forgot is initialized again, and 50 calls notice nothing', async () => {
  const { server, host } = await start()
  await host.initialize()
  server.forget()
  const values = Array.from({ length: 50 }, (_, at) => at)
  const answers = await Promise.all(values.map((value) => callTool(host, 'count', { value })))
  expect(answers.map(textOf)).toEqual(values.map(String))
  expect([...server.counted].sort((one, other) => one - other)).toEqual(values)
  expect(server.sessions).toBe(2)
  expect(await host.end()).toBe(0)
  expect(host.said()).toMatch(/had forgotten the session; a new one was initialized/)
})

test('a call waits while the server restarts, and runs once', async () => {
  const { server, host } = await start()
  await host.initialize()
  await server.stop()
  const answer = callTool(host, 'count', { value: 1 })
  await until(() => host.said().includes('waiting for it'), 20)
  await server.start()
  expect(textOf(await answer)).toBe('1')
  expect(server.counted).toEqual([1])
  expect(host.said()).toMatch(/answers again/)
})

test('the proxy that is started before the server waits for it, and says so', async () => {
  const server = await startStateful(fixtures)
  onTestFinished(() => server[Symbol.asyncDispose]())
  await server.stop()
  const host = startHost({ url: server.url, env: fixtures.env })
  const initialized = host.initialize()
  await until(() => host.said().includes('waiting for it'), 20)
  await server.start()
  expect((await initialized)['result'].serverInfo.name).toBe('stateful')
})

test('a server that does not come up in time is an error of initialize, with the reason', async () => {
  const server = await startStateful(fixtures)
  await server.stop()
  const host = startHost({ url: server.url, env: fixtures.env, args: ['--timeout', '1'] })
  const { error } = await host.initialize()
  expect(error.code).toBe(-32000)
  expect(error.message).toMatch(/cannot be reached.*the request was not sent$/)
  expect(error.data).toMatchObject({ fate: 'not sent' })
  expect(await host.end()).toBe(0)
})

test('a call whose connection is destroyed ends in an error that says that its fate is unknown', async () => {
  const { server, host } = await start()
  await host.initialize()
  const first = callTool(host, 'wait', { value: 1 })
  const second = callTool(host, 'wait', { value: 2 })
  await until(() => server.counted.length === 2, 20)
  server.cut()
  for (const { error } of await Promise.all([first, second])) {
    expect(error.message).toMatch(/whether the server ran it is unknown$/)
    expect(error.data).toMatchObject({ fate: 'unknown' })
  }
  server.release()
  expect(textOf(await callTool(host, 'count', { value: 3 }))).toBe('3')
  expect(server.counted).toEqual([1, 2, 3])
  expect(host.received.filter(({ method }) => method === undefined)).toHaveLength(4)
})

test('a response whose connection is destroyed is resumed when the server numbers its events', async () => {
  const server = await startStateful(fixtures, { resumable: true })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const host = startHost({ url: server.url, env: fixtures.env })
  await host.initialize('2025-11-25')
  const answer = callTool(host, 'wait', { value: 1 })
  await until(() => server.counted.length === 1, 20)
  await sleep(500)
  server.cut()
  await sleep(500)
  server.release()
  expect(await answer).toMatchObject({ result: { content: [{ text: '1' }] } })
  expect(server.counted).toEqual([1])
})

test('a token that is revoked with 100 calls under way costs no call, and none runs twice', async () => {
  const { server, host } = await start()
  await host.initialize()
  const waiting = Array.from({ length: 50 }, (_, value) => callTool(host, 'wait', { value }))
  await until(() => server.counted.length === 50, 20)
  server.tokens.revokeAll()
  const more = Array.from({ length: 50 }, (_, at) => callTool(host, 'count', { value: 50 + at }))
  expect((await Promise.all(more)).map(textOf)).toEqual(more.map((_, at) => String(50 + at)))
  server.release()
  expect((await Promise.all(waiting)).map(textOf)).toEqual(waiting.map((_, at) => String(at)))
  expect(new Set(server.counted).size).toBe(100)
  expect(server.counted).toHaveLength(100)
})

test('a failed authorization is the error of initialize, and has no secret in it', async () => {
  const server = await startStateful(fixtures)
  onTestFinished(() => server[Symbol.asyncDispose]())
  const env = { ...fixtures.env, COUNTERSIGN_CLIENT_ID: 'somebody-else' }
  const host = startHost({ url: server.url, env })
  const { error } = await host.initialize()
  expect(error.message).toMatch(
    /^token: .*invalid_client.*; .*check that the client "somebody-else" is registered at/,
  )
  expect(error.data).toMatchObject({ code: 'ERR_OAUTH_RESPONSE', fate: 'not sent' })
  expect(JSON.stringify(error) + host.said()).not.toMatch(/eyJ/)
  expect(await host.end()).toBe(0)
})

test('what the doctor finds is the error of initialize, and is looked for once a minute', async () => {
  const { authorizationServer } = fixtures.servers
  const server = await startStateful(fixtures)
  onTestFinished(() => server[Symbol.asyncDispose]())
  const env = { ...fixtures.env, COUNTERSIGN_KID: 'of-another-key' }
  const before = authorizationServer.tokenRequests.length
  const host = startHost({ url: server.url, env })
  const { error } = await host.initialize()
  expect(error.message).toContain('give --kid none; in code: ')
  const { error: again } = await host.initialize()
  expect(again.message).toBe(error.message)
  expect(authorizationServer.tokenRequests.length - before).toBeLessThan(15)
  expect(await host.end()).toBe(0)
})

test('a key that cannot be opened is the error of initialize, and the exit code is that of a key', async () => {
  const env = { ...fixtures.env, COUNTERSIGN_KEY: `${fixtures.folder}/missing.pem` }
  const host = startHost({ url: fixtures.servers.mcpServer.url, env })
  const { error } = await host.initialize()
  expect(error.message).toContain('missing.pem')
  expect(await host.ended).toBe(3)
})

test('a request of the server reaches the host, and the answer reaches the server', async () => {
  const { host } = await start()
  await host.initialize()
  const asked = callTool(host, 'ask')
  await until(() => host.received.some(({ method }) => method === 'roots/list'), 20)
  const { id } = host.received.find(({ method }) => method === 'roots/list') ?? {}
  host.send({ jsonrpc: '2.0', id, result: { roots: [{ uri: 'file:///work' }] } })
  expect(textOf(await asked)).toBe('file:///work')
})

test('1,000 requests at once, and messages of 10 MB each way, are answered once', async () => {
  const { server, host } = await start()
  await host.initialize()
  const values = Array.from({ length: 1000 }, (_, at) => at)
  const answers = await Promise.all(values.map((value) => callTool(host, 'count', { value })))
  expect(answers.map(textOf)).toEqual(values.map(String))
  expect(server.counted).toHaveLength(1000)
  const text = 'ü"\n'.repeat(2_000_000)
  expect(textOf(await callTool(host, 'echo', { text }))).toBe(text)
}, 60_000)

test('what is not JSON-RPC is answered with an error, and the next message is served', async () => {
  const { host } = await start()
  await host.initialize()
  host.send('{"jsonrpc":')
  host.send('[]')
  expect(textOf(await callTool(host, 'echo', { text: 'here' }))).toBe('here')
  expect(host.received.filter(({ id }) => id === null).map(({ error }) => error.code)).toEqual([
    -32700, -32600,
  ])
})

test('SIGTERM lets a call under way end, and the exit code is that of an interruption', async () => {
  const { server, host } = await start()
  await host.initialize()
  const answer = callTool(host, 'wait', { value: 1 })
  await until(() => server.counted.length === 1, 20)
  host.signal('SIGTERM')
  await sleep(200)
  server.release()
  expect(textOf(await answer)).toBe('1')
  expect(await host.ended).toBe(130)
})

test('SIGTERM answers a call that takes longer with an error', async () => {
  const { server, host } = await start()
  await host.initialize()
  const answer = callTool(host, 'wait', { value: 1 })
  await until(() => server.counted.length === 1, 20)
  host.signal('SIGTERM')
  const { error } = await answer
  expect(error.message).toMatch(/The proxy ends before .* whether the server ran it is unknown$/)
  expect(await host.ended).toBe(130)
})

test('an unknown method is answered by the server, and a cancelled request needs no answer', async () => {
  const { server, host } = await start()
  await host.initialize()
  expect((await host.request('acme/unknown', { any: 1 }))['error'].code).toBe(-32601)
  host.send({
    jsonrpc: '2.0',
    id: 'x',
    method: 'tools/call',
    params: { name: 'wait', arguments: { value: 9 } },
  })
  await until(() => server.counted.length === 1, 20)
  host.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'x' } })
  await sleep(200)
  server.release()
  expect(await host.end()).toBe(0)
  expect(host.answers('x')).toEqual([])
})
