import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { until } from '../support/until.js'
import { type Json, type RawHost, startHost } from './hosts.ts'
import { type ServerProcess, startServerProcess } from './process.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

async function start(
  args: readonly string[] = [],
): Promise<{ server: ServerProcess; host: RawHost }> {
  const server = await startServerProcess(fixtures)
  const host = startHost({ url: server.guard.url, env: fixtures.env, args })
  await host.initialize('2025-11-25')
  return { server, host }
}

const callTool = (host: RawHost, name: string, value: unknown, meta?: object) =>
  host.request('tools/call', { name, arguments: { value }, ...(meta && { _meta: meta }) })
const textOf = (answer: Json) => answer['result']?.content[0].text
const found = (host: RawHost, method: string) =>
  host.received.filter((message) => message.method === method)

async function answerNext(host: RawHost, method: string, result: object): Promise<Json> {
  await until(() => found(host, method).length > 0, 20)
  const [request = {}] = found(host, method)
  host.send({ jsonrpc: '2.0', id: request.id, result })
  return request
}

test('sampling, elicitation and progress pass', async () => {
  const { host } = await start()
  const sampled = callTool(host, 'sample', 'question')
  const request = await answerNext(host, 'sampling/createMessage', {
    ...{ role: 'assistant', model: 'none', content: { type: 'text', text: 'answer' } },
  })
  expect(request['params'].messages[0].content.text).toBe('question')
  expect(textOf(await sampled)).toBe('answer')
  const elicited = callTool(host, 'elicit', 0)
  await answerNext(host, 'elicitation/create', { action: 'accept', content: { colour: 'blue' } })
  expect(textOf(await elicited)).toBe('blue')
  await callTool(host, 'progress', 0, { progressToken: 'token-1' })
  expect(found(host, 'notifications/progress').map(({ params }) => params)).toEqual(
    [1, 2, 3].map((progress) => ({ progressToken: 'token-1', progress, total: 3 })),
  )
})

test('a server that is killed during calls and started again has its subscriptions again, and no call runs twice', async () => {
  const { server, host } = await start()
  expect(await host.request('resources/subscribe', { uri: 'file:///a' })).toHaveProperty('result')
  const waiting = [1, 2, 3].map((value) => callTool(host, 'wait', value))
  await until(() => server.lines.filter((line) => line.startsWith('wait ')).length === 3, 20)
  await server.kill()
  for (const { error } of await Promise.all(waiting)) expect(error.data.fate).toBe('unknown')
  await server.start()
  expect(textOf(await callTool(host, 'count', 4))).toBe('4')
  const done = server.lines.filter((line) => !line.startsWith('port '))
  expect([...done].sort()).toEqual([
    ...['count 4', 'subscribe file:///a', 'subscribe file:///a', 'wait 1', 'wait 2', 'wait 3'],
  ])
  expect(done.indexOf('count 4')).toBe(done.length - 1)
})

test('the stream of the server is opened again after the last event, and no message is lost or repeated', async () => {
  const { server, host } = await start()
  const streams = () => server.guard.requests.filter(({ method }) => method === 'GET')
  const logged = () => found(host, 'notifications/message').map(({ params }) => params.data)
  await until(() => streams().some(({ status }) => status === 200), 20)
  await callTool(host, 'log', 'before')
  await until(() => logged().length === 1, 20)
  await callTool(host, 'cut', 'during')
  await until(() => logged().length === 2, 20)
  await callTool(host, 'log', 'after')
  await until(() => logged().length === 3, 20)
  expect(logged()).toEqual(['before', 'during', 'after'])
  expect(streams().at(-1)?.headers['last-event-id']).toMatch(/^\d+$/)
})

test('--read-only follows the cursors of the list', async () => {
  const { server, host } = await start(['--read-only'])
  const answers = await Promise.all([1, 2].map((value) => callTool(host, 'look', value)))
  expect(answers.map(textOf)).toEqual(['1', '2'])
  expect((await callTool(host, 'count', 3))['error'].message).toMatch(/"count" has not been listed/)
  expect(server.lines.filter((line) => line.startsWith('list '))).toEqual([
    ...['list first', 'list second', 'list third'],
  ])
  expect(server.lines).not.toContain('count 3')
})

/** The resident memory of a process, in megabytes. */
const memory = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

test.runIf(process.platform === 'linux')(
  'the memory of the proxy is bounded while the host does not read 300 MB of messages',
  async () => {
    const { host } = await start()
    host.pause()
    const answer = callTool(host, 'flood', 300)
    let most = 0
    for (let times = 0; times < 50; times++) {
      await sleep(100)
      most = Math.max(most, memory(host.pid))
    }
    expect(most).toBeLessThan(180)
    host.resume()
    expect(textOf(await answer)).toBe('300')
    const order = found(host, 'notifications/message').map(({ params }) => params.data.at)
    expect(order).toEqual(Array.from({ length: 300 }, (_, at) => at))
  },
  60_000,
)
