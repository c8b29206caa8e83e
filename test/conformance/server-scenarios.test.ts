// The scenarios of the conformance suite for servers, with a server directly and through countersign proxy.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bin } from '../cli/command.ts'
import { type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { type RunningServer, startEverything } from '../hosts/servers.js'
import { startGuard } from '../servers/guard.js'
import { nodeBinary, nodeBinaryMissing } from '../support/node-binary.js'
import { run } from '../support/run.js'
import { until } from '../support/until.js'
import { startModernServer } from './modern-server.js'

const suite = fileURLToPath(import.meta.resolve('@modelcontextprotocol/conformance/dist/index.js'))

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

/** Status of each check, by scenario. */
type Results = Readonly<Record<string, readonly string[]>>

/** Runs all scenarios, of all protocol versions and extensions. */
async function play(url: string): Promise<Results> {
  const output = mkdtempSync(join(fixtures.folder, 'run-'))
  const args = [suite, 'server', '--url', url, '--suite', 'all', '-o', output]
  const isNode22 = Number(process.versions.node.split('.')[0]) >= 22
  const { output: text } = await run(isNode22 ? process.execPath : nodeBinary(22), args, {
    cwd: output,
    timeoutSeconds: 150,
  })
  const results: Record<string, string[]> = {}
  for (const folder of readdirSync(output)) {
    const file = join(output, folder, 'checks.json')
    const scenario = folder.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '')
    results[scenario] = existsSync(file) ? checksIn(file) : ['no checks']
  }
  if (Object.keys(results).length < 40) throw new Error(text)
  return results
}

interface Check {
  readonly id: string
  readonly status: string
  readonly errorMessage?: string
}

function checksIn(file: string): string[] {
  const checks = JSON.parse(readFileSync(file, 'utf8')) as readonly Check[]
  return checks
    .filter(({ status }) => status !== 'INFO')
    .map(({ id, status, errorMessage = '' }) => withoutIds(`${id}: ${status} ${errorMessage}`))
}

/** Ports, and identifiers of sessions, differ between two runs. */
const withoutIds = (text: string): string =>
  text
    .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, 'UUID')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'HOST')

/** Starts the proxy on a Unix socket, and a TCP port that leads there, because the suite connects to a URL. */
async function startProxy(server: RunningServer): Promise<RunningServer> {
  const { authorizationServer } = fixtures.servers
  const guard = await startGuard({ target: server.origin, authorizationServer })
  const folder = mkdtempSync(join(fixtures.folder, 'proxy-'))
  mkdirSync(join(folder, 'private'), { mode: 0o700 })
  const socket = join(folder, 'private/proxy.sock')
  const forwarder = createServer((client) => {
    const proxy = connect(socket)
    client.pipe(proxy).pipe(client)
    client.on('error', () => proxy.destroy())
    proxy.on('error', () => client.destroy())
  })
  forwarder.listen(0, '127.0.0.1')
  await once(forwarder, 'listening')
  const origin = `http://127.0.0.1:${(forwarder.address() as AddressInfo).port}`
  const listen = ['--listen', `unix:${socket}`, '--allow-origin', origin]
  const args = ['proxy', guard.url, ...fixtures.options, ...listen]
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const close = () => closeAll(child, forwarder, guard.close)
  try {
    await until(() => existsSync(socket) || child.exitCode !== null, 20)
    if (child.exitCode !== null) throw new Error(said)
  } catch (error) {
    await close()
    throw error
  }
  return { origin, close }
}

async function closeAll(child: ChildProcess, forwarder: Server, closeGuard: () => Promise<void>) {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  forwarder.close()
  await closeGuard()
}

/**
 * Checks of what the proxy itself decides as the server that the host sees: it refuses foreign origins, accepts those that
 * it was told of, and forgets a session that was deleted.
 */
const ownChecks = [
  'localhost-host-rebinding-rejected',
  'localhost-host-valid-accepted',
  'server-session-terminated-returns-404',
]

const without = (results: Results, checks: readonly string[]): Results =>
  Object.fromEntries(
    Object.entries(results).map(([scenario, found]) => [
      scenario,
      found.filter((one) => !checks.some((check) => one.startsWith(`${check}:`))),
    ]),
  )

it.for([
  ['server-everything', startEverything],
  ['a server of protocol version 2026-07-28', startModernServer],
] as const)(
  'the conformance suite has the same results with %s through the proxy as directly',
  { timeout: 400_000 },
  async ([, start], { skip }) => {
    if (nodeBinaryMissing !== undefined) skip(`missing: ${nodeBinaryMissing}`)
    const server = await start()
    const proxy = await startProxy(server).catch(async (error: unknown) => {
      await server.close()
      throw error
    })
    try {
      const direct = await play(`${server.origin}/mcp`)
      const passed = Object.values(direct)
        .flat()
        .filter((check) => check.includes(': SUCCESS'))
      expect(passed.length).toBeGreaterThan(40)
      const proxied = await play(`${proxy.origin}/mcp`)
      expect(without(proxied, ownChecks)).toEqual(without(direct, ownChecks))
      const own = Object.values(proxied)
        .flat()
        .filter((one) => ownChecks.some((check) => one.startsWith(`${check}:`)))
      expect(own.length).toBeGreaterThan(1)
      expect(own.filter((one) => !one.includes(': SUCCESS'))).toEqual([])
    } finally {
      await proxy.close()
      await server.close()
    }
  },
)
