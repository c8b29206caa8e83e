import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { agentTokens } from '@countersign/agent/internal'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { ask, type Fixtures, name, resource, startFixtures, writeKey } from './fixtures.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())
beforeEach(() => fixtures.configure({ clients: { [name]: fixtures.client } }))

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

async function start() {
  const reports: string[] = []
  const agent = await fixtures.start({ report: (message) => reports.push(message) })
  onTestFinished(() => agent.close())
  return { ...agent, socket: agent.socket, reports }
}

const seed = Number(process.env['COUNTERSIGN_FUZZ_SEED'] ?? 20261127)

test(`10,000 requests at random end in an answer below 500 or a closed connection (seed ${seed})`, async () => {
  const { socket, reports } = await start()
  const random = seeded(seed)
  const pick = <T>(...choices: readonly [T, ...T[]]): T =>
    choices[Math.floor(random() * choices.length)] ?? choices[0]
  const text = (): string =>
    Array.from({ length: Math.floor(random() * 40) }, () =>
      String.fromCodePoint(Math.floor(random() * pick(128, 0xd7ff))),
    ).join('')
  const value = (depth = 0): unknown =>
    pick<() => unknown>(
      () => text(),
      () => Math.floor(random() * 1e9),
      () => null,
      () => true,
      () => 'read',
      () => resource,
      () => fixtures.authorizationServer.issuer,
      () => (depth > 3 ? [] : [value(depth + 1)]),
      () => (depth > 3 ? {} : { [text()]: value(depth + 1) }),
    )()
  const body = (): string | undefined =>
    pick<() => string | undefined>(
      () => undefined,
      () => '',
      () => text(),
      () => JSON.stringify(value()),
      () =>
        JSON.stringify({
          [pick('audience', 'scope', 'resource', 'url', 'refused_token', '__proto__', text())]:
            value(),
        }),
      () => '['.repeat(5000),
      () => JSON.stringify({ scope: 'x'.repeat(Math.floor(random() * 70_000)) }),
    )()
  const path = (): string =>
    `/${pick('clients', 'clients', 'clients', 'healthz', 'metrics', encodeURIComponent(text()))}/${encodeURIComponent(pick(name, name, '..', '__proto__', 'constructor', text()))}/${pick('assertion', 'token', 'headers', encodeURIComponent(text()))}${pick('', '', '?a=1', '//', '%00', '%zz')}`
  const garbage = () =>
    Buffer.from(
      Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * 256)),
    )

  const statuses = new Map<number, number>()
  async function one(): Promise<void> {
    if (random() < 0.1) {
      await sendRaw(
        socket,
        pick(garbage(), Buffer.from(`POST / HTTP/1.1\r\ncontent-length: ${text()}\r\n\r\n`)),
      )
      return
    }
    const method = pick('POST', 'POST', 'POST', 'GET', 'PUT', 'DELETE', 'OPTIONS')
    const type = pick(
      'application/json',
      'application/json',
      'text/plain',
      'application/json; charset=x',
    )
    const { status } = await ask(
      socket,
      path(),
      method === 'GET' ? undefined : body(),
      { 'content-type': type },
      method,
    )
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    expect(status).toBeLessThan(500)
  }
  for (let sent = 0; sent < 10_000; sent += 50) {
    await Promise.all(Array.from({ length: 50 }, one))
  }
  // Each kind of answer was reached.
  expect([...statuses.keys()].sort()).toEqual(
    expect.arrayContaining([200, 400, 403, 404, 413, 415]),
  )
  expect(reports).toEqual([])
  expect((await ask(socket, `/clients/${name}/token`, {})).status).toBe(200)
}, 240_000)

/** Sends octets, and waits for the end of the connection, but not for long. */
function sendRaw(path: string, octets: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.end(octets))
    socket.on('error', () => {})
    socket.on('data', () => {})
    socket.setTimeout(20_000, () => socket.destroy())
    socket.on('close', () => resolve())
  })
}

function open(path: string, text = ''): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.write(text)
      resolve(socket)
    })
    socket.once('error', reject)
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
  })
}

test('500 connections that send nothing, or half a request, do not delay others', async () => {
  const { socket } = await start()
  const half = `POST /clients/${name}/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`
  const held = await Promise.all(
    Array.from({ length: 500 }, (_, i) => open(socket, i % 2 === 0 ? '' : half)),
  )
  expect((await ask(socket, `/clients/${name}/token`, {})).status).toBe(200)
  expect(held.filter(({ destroyed }) => destroyed)).toEqual([])
})

test('a caller that reads slowly does not delay others', async () => {
  const { socket } = await start()
  const request = 'GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n'
  const slow = await open(socket)
  slow.pause()
  slow.write(request.repeat(500))
  for (let call = 0; call < 5; call++) {
    expect((await ask(socket, `/clients/${name}/token`, {})).status).toBe(200)
  }
  slow.destroy()
  expect((await ask(socket, '/healthz')).json['status']).toBe('ok')
})

test('a body of unknown length is refused when it becomes too large, and is not read to its end', async () => {
  const { socket } = await start()
  const connection = await open(
    socket,
    `POST /clients/${name}/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
  )
  let answer = ''
  connection.setEncoding('utf8').on('data', (chunk) => {
    answer += chunk
  })
  const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`
  let sent = 0
  while (!connection.destroyed && !answer.includes('413') && sent < 1000) {
    sent++
    await new Promise((resolve) => connection.write(chunk, resolve))
  }
  expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  expect(sent).toBeLessThan(200)
  expect((await ask(socket, '/healthz')).json['status']).toBe('ok')
})

test('1,000 configurations, one after the other under load, lose no call', async () => {
  const other = await writeKey(join(fixtures.folder, 'second.pem'))
  const agent = await start()
  const tokens = agentTokens(name, { socket: agent.socket })
  let isOver = false
  let calls = 0
  const failures: unknown[] = []
  const callers = Array.from({ length: 4 }, async () => {
    while (!isOver) {
      const call = calls++ % 2 === 0 ? tokens.assertion() : tokens.token()
      await call.catch((error: unknown) => failures.push(error))
      await setTimeout(5)
    }
  })
  for (let version = 0; version < 1000; version++) {
    // Every tenth one is broken, and the others add a client or change the lifetime of the assertions.
    if (version % 10 === 9) writeFileSync(fixtures.config, '{"clients": {')
    else {
      fixtures.configure({
        clients: {
          [name]: { ...fixtures.client, lifetimeSeconds: 60 + (Math.floor(version / 50) % 5) },
          ...(version % 2 === 0 ? { other: { ...fixtures.client, key: other.uri } } : {}),
        },
      })
    }
    await agent.reload()
  }
  isOver = true
  await Promise.all(callers)
  expect(failures).toEqual([])
  expect(calls).toBeGreaterThan(100)
  // The watch of the file may find a broken one a second time.
  expect(
    agent.reports.filter((line) => line.includes('is not JSON')).length,
  ).toBeGreaterThanOrEqual(100)
  expect((await tokens.assertion()).expires_in).toBeGreaterThanOrEqual(60)
}, 180_000)
