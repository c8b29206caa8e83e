import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { bin } from '../cli/command.ts'
import { type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { startStateful } from './stateful-server.ts'

const secret = 'the-secret-of-the-proxy'
let fixtures: Fixtures
let folder: string
let secretFile: string

beforeAll(async () => {
  fixtures = await startFixtures()
  folder = mkdtempSync(join(tmpdir(), 'cs-listen-'))
  secretFile = join(folder, 'secret')
  writeFileSync(secretFile, `${secret}\n`, { mode: 0o600 })
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await fixtures[Symbol.asyncDispose]()
})

/** Starts the proxy, and waits until it says where it listens. */
async function startProxy(
  address: string,
  args: readonly string[] = ['--secret-file', secretFile],
  { url = fixtures.servers.mcpServer.url, env = fixtures.env } = {},
) {
  const all = [bin, 'proxy', url, '--listen', address, ...args]
  const child = spawn(process.execPath, all, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const said: string[] = []
  const where = await new Promise<string>((resolve, reject) => {
    ended.then(() => reject(new Error(said.join('\n'))))
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line)
      const [, found] = /listening on (.*)$/.exec(line) ?? []
      if (found !== undefined) resolve(found)
    })
  })
  return { where, said, ended, child }
}

const requestInit = { headers: { authorization: `Bearer ${secret}` } }

async function connect(sdk: 'v1' | 'v2', where: string) {
  const about = { name: 'host', version: '1.0.0' }
  if (sdk === 'v1') {
    const client = new Client(about)
    onTestFinished(() => client.close())
    const transport = new StreamableHTTPClientTransport(new URL(where), { requestInit })
    // The declarations of the SDK do not allow for exactOptionalPropertyTypes.
    await client.connect(transport as Parameters<Client['connect']>[0])
    return client
  }
  const client = new v2.Client(about)
  onTestFinished(() => client.close())
  await client.connect(new v2.StreamableHTTPClientTransport(new URL(where), { requestInit }))
  return client
}

const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'raw', version: '1' },
  },
}

const json = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

/** One HTTP request as it is given, with its path and its header `Host` unchanged. */
async function send(options: RequestOptions, body = JSON.stringify(initialize)) {
  const sent = request({ method: 'POST', path: '/mcp', ...options })
  sent.on('error', () => {})
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode, headers: response.headers, text: await text(response) }
}

describe('on a TCP port', () => {
  test.each(['v1', 'v2'] as const)(
    'a client of SDK %s calls tools with the secret',
    async (sdk) => {
      const { where, said } = await startProxy('127.0.0.1:0')
      const client = await connect(sdk, where)
      expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['whoami', 'add'])
      expect(await client.callTool({ name: 'whoami' })).toMatchObject({
        content: [{ type: 'text', text: 'billing-agent' }],
      })
      expect(said.join('\n')).not.toContain(secret)
    },
  )

  test('a secret that was not given is printed once, and is needed', async () => {
    const { where, said } = await startProxy('127.0.0.1:0', [])
    const [, printed = ''] = /Authorization: Bearer (\S{43})$/m.exec(said.join('\n')) ?? []
    const { port } = new URL(where)
    const options = { port, host: '127.0.0.1', headers: json }
    expect((await send(options)).status).toBe(401)
    const headers = { ...json, authorization: `Bearer ${printed}` }
    expect(await send({ ...options, headers })).toMatchObject({ status: 200 })
  })

  test('requests that may come from a web page, or miss the secret, are refused', async () => {
    const origin = 'https://inspector.example.com'
    const args = ['--secret-file', secretFile, '--allow-origin', origin]
    const { where } = await startProxy('127.0.0.1:0', args)
    const { port } = new URL(where)
    const status = async (headers: object, options: RequestOptions = {}, body?: string) => {
      const all = { ...json, authorization: `Bearer ${secret}`, ...headers }
      return (await send({ port, host: '127.0.0.1', ...options, headers: all }, body)).status
    }
    expect(await status({})).toBe(200)
    expect(await status({ host: `localhost:${port}` })).toBe(200)
    expect(await status({ origin })).toBe(200)
    expect(await status({ host: 'rebound.example.com' })).toBe(403)
    expect(await status({ host: `127.0.0.1.example.com:${port}` })).toBe(403)
    expect(await status({ origin: 'https://evil.example.com' })).toBe(403)
    expect(await status({ origin: 'null' })).toBe(403)
    expect(await status({ authorization: 'Bearer wrong' })).toBe(401)
    expect(await status({ authorization: '' })).toBe(401)
    for (const path of ['/', '/mcp/', '/mcp/..%2fother', '/mcp?x=1', '//mcp', '/other']) {
      expect(await status({}, { path })).toBe(404)
    }
    expect(await status({}, { method: 'PUT' })).toBe(405)
    expect(await status({ 'mcp-session-id': 'unknown' })).toBe(404)
    expect(await status({}, {}, 'no JSON')).toBe(400)
    expect(await status({}, {}, `"${'a'.repeat(64 * 1024 * 1024)}"`)).toBe(413)
  })

  test('a web page of an accepted origin may send requests and read the responses, and no other', async () => {
    const origin = 'https://inspector.example.com'
    const args = ['--secret-file', secretFile, '--allow-origin', origin]
    const { where } = await startProxy('127.0.0.1:0', args)
    const { port } = new URL(where)
    const preflight = (from: string) =>
      send(
        {
          ...{ port, host: '127.0.0.1', method: 'OPTIONS' },
          headers: {
            origin: from,
            'access-control-request-method': 'POST',
            'access-control-request-headers': 'authorization, content-type, mcp-protocol-version',
          },
        },
        '',
      )
    const allowed = await preflight(origin)
    expect(allowed).toMatchObject({ status: 204, text: '' })
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-headers': 'authorization, content-type, mcp-protocol-version',
      'access-control-allow-methods': 'POST, GET, DELETE',
    })
    const refused = await preflight('https://evil.example.com')
    expect(refused.status).toBe(403)
    expect(refused.headers['access-control-allow-origin']).toBeUndefined()
    const headers = { ...json, authorization: `Bearer ${secret}`, origin }
    const answer = await send({ port, host: '127.0.0.1', headers })
    expect(answer).toMatchObject({ status: 200 })
    expect(answer.headers).toMatchObject({ 'access-control-allow-origin': origin, vary: 'origin' })
    expect(answer.headers['access-control-expose-headers']).toContain('mcp-session-id')
    expect((await send({ port, host: '127.0.0.1', headers: json })).status).toBe(401)
  })

  test('an address of another machine, or none, is refused', async () => {
    for (const address of ['0.0.0.0:0', '192.0.2.1:80', '127.0.0.1', 'example.com:80']) {
      await expect(startProxy(address)).rejects.toThrow(/--listen takes 127\.0\.0\.1:PORT/)
    }
  })
})

test('on a Unix socket, the permissions of the file decide', async () => {
  const path = join(folder, 'own', 'mcp.sock')
  const { where } = await startProxy(`unix:${path}`, [])
  expect(where).toContain(path)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  const options = { socketPath: path, headers: json }
  const answer = await send(options)
  expect(answer).toMatchObject({ status: 200 })
  expect(answer.text).toContain('"serverInfo"')
  const headers = { ...json, origin: 'https://evil.example.com' }
  expect((await send({ ...options, headers })).status).toBe(403)
  await expect(startProxy(`unix:${path}`, [])).rejects.toThrow(/listens/)
  const open = join(folder, 'open')
  mkdirSync(open, { mode: 0o777 })
  await expect(startProxy(`unix:${join(open, 'mcp.sock')}`, [])).rejects.toThrow(/chmod|mode/)
})

test.each(['v1', 'v2'] as const)(
  'a host with SDK %s does not notice that the server forgot its session',
  async (sdk) => {
    await using server = await startStateful(fixtures)
    const { where } = await startProxy('127.0.0.1:0', ['--secret-file', secretFile], {
      url: server.url,
    })
    const [client, other] = [await connect(sdk, where), await connect(sdk, where)]
    const count = (on: typeof client, value: number) =>
      on.callTool({ name: 'count', arguments: { value } })
    await count(client, 1)
    await count(other, 2)
    expect(server.sessions).toBe(2)
    server.forget()
    expect(await count(client, 3)).toMatchObject({ content: [{ text: '3' }] })
    expect(await count(other, 4)).toMatchObject({ content: [{ text: '4' }] })
    expect(server.counted).toEqual([1, 2, 3, 4])
    expect(server.sessions).toBe(4)
  },
)

test('a call whose connection breaks ends in an error that says so, and runs once', async () => {
  await using server = await startStateful(fixtures)
  const { where } = await startProxy('127.0.0.1:0', ['--secret-file', secretFile], {
    url: server.url,
  })
  const client = await connect('v1', where)
  const call = client.callTool({ name: 'wait', arguments: { value: 1 } }).catch((error) => error)
  await expect.poll(() => server.counted).toEqual([1])
  server.cut()
  expect(String(await call)).toMatch(/whether the server ran it is unknown/)
  expect(server.counted).toEqual([1])
})

test('a failed authorization is the answer to initialize', async () => {
  const env = { ...fixtures.env, COUNTERSIGN_CLIENT_ID: 'nobody' }
  const { where } = await startProxy('127.0.0.1:0', ['--secret-file', secretFile], { env })
  const { port } = new URL(where)
  const headers = { ...json, authorization: `Bearer ${secret}` }
  const answer = await send({ port, host: '127.0.0.1', headers })
  expect(answer.status).toBe(200)
  expect(JSON.parse(answer.text)).toMatchObject({
    id: 1,
    error: { code: -32000, message: expect.stringContaining('invalid_client') },
  })
})

test('hidden tools are neither listed nor called', async () => {
  const args = ['--secret-file', secretFile, '--deny-tool', 'who*']
  const { where } = await startProxy('127.0.0.1:0', args)
  const client = await connect('v2', where)
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['add'])
  await expect(client.callTool({ name: 'whoami' })).rejects.toThrow(/do not allow the tool/)
})

test('--read-only reads the list of tools itself, and refuses calls of the others', async () => {
  await using server = await startStateful(fixtures)
  const args = ['--secret-file', secretFile, '--read-only']
  const { where } = await startProxy('127.0.0.1:0', args, { url: server.url })
  const client = await connect('v1', where)
  const call = (name: string, given: Record<string, unknown>) =>
    client.callTool({ name, arguments: given })
  const read = Array.from({ length: 10 }, () => call('echo', { text: 'read' }))
  for (const one of await Promise.all(read))
    expect(one).toMatchObject({ content: [{ text: 'read' }] })
  await expect(call('count', { value: 1 })).rejects.toThrow(/"count" has not been listed/)
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['echo'])
  expect(server.counted).toEqual([])
})

test('SIGTERM ends it, and the sessions of the server', async () => {
  await using server = await startStateful(fixtures)
  const { where, child, ended } = await startProxy('127.0.0.1:0', ['--secret-file', secretFile], {
    url: server.url,
  })
  await connect('v1', where)
  child.kill('SIGTERM')
  expect(await ended).toBe(130)
})
