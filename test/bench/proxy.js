// @ts-check
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { on, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { quantile, ratioRow, takeTurns, valueRow } from './measure.js'
import { clientId, startServers } from './servers/start.js'

/** @import { Fetch } from '@countersign/oauth' */
/** @import { Row } from './measure.js' */

const bin = fileURLToPath(new URL('../../packages/cli/dist/bin.js', import.meta.url))
const about = { name: 'bench', version: '1.0.0' }

/**
 * The proxy between a host and an MCP server, against the same client connected to the server directly: what it adds to
 * one call, how many calls it forwards, its memory, and its start.
 *
 * @returns {AsyncGenerator<Row>}
 */
export async function* run() {
  const { key, signer, issuer, mcpUrl, close } = await startServers('v2')
  const folder = mkdtempSync(join(tmpdir(), 'cs-bench-proxy-'))
  const file = join(folder, 'key.pem')
  writeFileSync(file, key.pem, { mode: 0o600 })
  const env = {
    PATH: process.env['PATH'] ?? '',
    COUNTERSIGN_KEY: pathToFileURL(file).href,
    COUNTERSIGN_CLIENT_ID: clientId,
    COUNTERSIGN_ISSUER: issuer,
  }
  try {
    const options = { clientId, issuer, authentication: privateKeyJwt(signer), scope: 'tools' }
    let authorization = ''
    const provider = clientCredentialsProvider({
      ...options,
      fetch(input, init) {
        authorization = new Headers(init?.headers).get('authorization') ?? authorization
        return fetch(input, init)
      },
    })
    const direct = await overHttp(mcpUrl, provider.fetch)
    const stdio = new StdioClientTransport({
      ...{ command: process.execPath, args: [bin, 'proxy', mcpUrl], env },
    })
    const piped = new Client(about)
    await piped.connect(stdio)
    const listener = await startListener(mcpUrl, env, folder)
    const listened = await overHttp(listener.url, withHeader(`Bearer ${listener.secret}`))
    const bare = await startBareProxy(mcpUrl)
    const passed = await overHttp(bare.url, withHeader(authorization))
    yield* added('proxy on stdio', piped, direct)
    yield* added('proxy on HTTP', listened, direct)
    yield* added('a bare HTTP proxy of node:http', passed, direct, false)
    const rates = await takeTurns(
      { proxy: concurrent(piped), direct: concurrent(direct) },
      { rounds: 15, severalProcesses: true },
    )
    yield ratioRow(rates, {
      ...{ name: 'proxy on stdio, 64 calls at once', unit: 'calls/s' },
      ...{ of: 'proxy', over: 'direct' },
    })
    yield* memory(piped, stdio.pid ?? 0)
    await Promise.all([direct.close(), piped.close(), listened.close(), passed.close()])
    listener.stop()
    bare.stop()
    yield* start(mcpUrl, env, folder)
  } finally {
    close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @type {(url: string, fetch: Fetch) => Promise<Client>} */
async function overHttp(url, fetch) {
  const client = new Client(about)
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }))
  return client
}

/** @type {(authorization: string) => Fetch} */
const withHeader = (authorization) => (input, init) => {
  const headers = new Headers(init?.headers)
  headers.set('authorization', authorization)
  return fetch(input, { ...init, headers })
}

/** @param {Client} client */
const call = (client) => client.callTool({ name: 'whoami' })

/** @type {(client: Client) => import('./measure.js').Contender} */
const concurrent = (client) => async (times) => {
  let left = times
  const caller = async () => {
    while (left-- > 0) await call(client)
  }
  await Promise.all(Array.from({ length: 64 }, caller))
}

/** @param {Client} client */
async function millisecondsOf(client) {
  const start = performance.now()
  await call(client)
  return performance.now() - start
}

const latencyRounds = 11
const callsInRound = 300

/**
 * What the proxy adds to one call, at the median and at the 99th percentile: the difference in each round, in which both
 * take turns.
 *
 * @param {string} name
 * @param {Client} proxied
 * @param {Client} direct
 * @param {boolean} hasTarget
 * @returns {AsyncGenerator<Row>}
 */
async function* added(name, proxied, direct, hasTarget = true) {
  /** @type {{ median: number, p99: number }[]} */
  const rounds = []
  for (let round = 0; round <= latencyRounds; round++) {
    /** @type {number[]} */
    const ours = []
    /** @type {number[]} */
    const theirs = []
    for (let n = 0; n < callsInRound; n++) {
      ours.push(await millisecondsOf(proxied))
      theirs.push(await millisecondsOf(direct))
    }
    const difference = (/** @type {number} */ at) => quantile(ours, at) - quantile(theirs, at)
    // The first round warms up the code of all processes.
    if (round > 0) rounds.push({ median: difference(0.5), p99: difference(0.99) })
  }
  yield valueRow(
    rounds.map(({ median }) => median),
    {
      name: `${name}, added to a call`,
      unit: 'ms',
      ...(hasTarget && { target: { atMost: 0.5 } }),
    },
  )
  yield valueRow(
    rounds.map(({ p99 }) => p99),
    {
      name: `${name}, added at p99`,
      unit: 'ms',
      ...(hasTarget && { target: { atMost: 2 } }),
    },
  )
}

/**
 * How much the proxy's memory grows in 100,000 messages: 50,000 calls and their answers.
 *
 * @param {Client} client
 * @param {number} pid of the proxy
 * @returns {AsyncGenerator<Row>}
 */
async function* memory(client, pid) {
  if (process.platform !== 'linux') return
  const resident = () => {
    const [, kibibytes = ''] =
      /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kibibytes) / 1024
  }
  await concurrent(client)(10_000)
  const before = resident()
  await concurrent(client)(50_000)
  yield valueRow([resident() - before], {
    ...{ name: 'proxy, memory after 100,000 messages', unit: 'MiB', target: { atMost: 32 } },
  })
}

const startRounds = 11

/**
 * From the start of the proxy with an agent to the first answer of `initialize`, above a process that runs nothing.
 *
 * @param {string} url
 * @param {Record<string, string>} env
 * @param {string} folder
 * @returns {AsyncGenerator<Row>}
 */
async function* start(url, env, folder) {
  const config = join(folder, 'agent.json')
  const socket = join(folder, 'agent.sock')
  const bench = {
    ...{ key: env['COUNTERSIGN_KEY'], clientId, issuer: env['COUNTERSIGN_ISSUER'] },
    ...{ scopes: ['tools'], resources: [url] },
  }
  writeFileSync(config, JSON.stringify({ clients: { bench } }), { mode: 0o600 })
  const agent = spawn(process.execPath, [bin, 'agent', '--config', config, '--socket', socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await once(agent.stdout, 'data', { signal: AbortSignal.timeout(30_000) })
    const args = [bin, 'proxy', url, '--agent', 'bench']
    const settings = { PATH: env['PATH'] ?? '', COUNTERSIGN_AGENT: socket }
    /** @type {number[]} */
    const above = []
    // The first round fills the file cache and the agent's token cache.
    for (let round = 0; round <= startRounds; round++) {
      const bare = await untilClose(['--eval', ''])
      const proxied = await untilAnswer(args, settings)
      if (round > 0) above.push(proxied - bare)
    }
    yield valueRow(above, {
      name: 'proxy with an agent, to the answer of initialize, above bare node',
      unit: 'ms',
      target: { atMost: 400 },
    })
  } finally {
    agent.kill()
  }
}

/** @param {string[]} args */
async function untilClose(args) {
  const begin = performance.now()
  await once(spawn(process.execPath, args, { stdio: 'ignore' }), 'close')
  return performance.now() - begin
}

const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: about },
}

/**
 * @param {string[]} args
 * @param {Record<string, string>} env
 */
async function untilAnswer(args, env) {
  const begin = performance.now()
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.write(`${JSON.stringify(initialize)}\n`)
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const milliseconds = performance.now() - begin
  child.stdin.end()
  await once(child, 'close')
  if (!('result' in JSON.parse(line))) throw new Error(`initialize failed: ${line}`)
  return milliseconds
}

/**
 * Starts the proxy on a free TCP port.
 *
 * @param {string} url
 * @param {Record<string, string>} env
 * @param {string} folder
 * @returns {Promise<{ url: string, secret: string, stop: () => void }>}
 */
async function startListener(url, env, folder) {
  const file = join(folder, 'secret')
  const secret = randomBytes(32).toString('base64url')
  writeFileSync(file, secret, { mode: 0o600 })
  const args = [bin, 'proxy', url, '--listen', '127.0.0.1:0', '--secret-file', file]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const signal = AbortSignal.timeout(30_000)
  for await (const [line] of on(createInterface({ input: child.stderr }), 'line', { signal })) {
    const [address] = /http:\/\/127\.0\.0\.1:\d+\/\w+/.exec(line) ?? []
    if (address === undefined) continue
    return { url: address, secret, stop: () => void child.kill() }
  }
  throw new Error('the proxy ended before it listened')
}

const bareProxy = `
  const http = require('node:http')
  const url = new URL(process.argv[1])
  const agent = new http.Agent({ keepAlive: true })
  const server = http.createServer((request, response) => {
    const headers = { ...request.headers, host: url.host }
    const forwarded = http.request(url, { method: request.method, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
    })
    response.on('close', () => forwarded.destroy())
    request.pipe(forwarded)
  })
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))`

/**
 * Starts a proxy that does nothing but copy octets: what one more connection in Node.js costs by itself.
 *
 * @param {string} url
 * @returns {Promise<{ url: string, stop: () => void }>}
 */
async function startBareProxy(url) {
  const child = spawn(process.execPath, ['--eval', bareProxy, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [port] = await once(createInterface({ input: child.stdout }), 'line')
  return { url: `http://127.0.0.1:${port}/mcp`, stop: () => void child.kill() }
}
