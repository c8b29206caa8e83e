import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Client as ClientV2 } from '@modelcontextprotocol/client'
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js'
import { onTestFinished } from 'vitest'
import { bin } from '../cli/command.ts'

/** A JSON-RPC message, as a test reads it. */
export interface Json {
  readonly id?: string | number | null
  readonly method?: string
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
  readonly [member: string]: any
}

/** What the proxy is run with. */
export interface ProxySetting {
  readonly url: string
  readonly env: Readonly<Record<string, string>>
  readonly args?: readonly string[]
}

const command = ({ url, env, args = [] }: ProxySetting) => ({
  command: process.execPath,
  args: [bin, 'proxy', url, ...args],
  env: { PATH: process.env['PATH'] ?? '', ...env },
  stderr: 'pipe' as const,
})

/** Connects the stdio client of SDK v1 through the proxy. */
export async function connectV1(setting: ProxySetting): Promise<ClientV1> {
  const client = new ClientV1({ name: 'host-v1', version: '1.0.0' })
  onTestFinished(() => client.close())
  await client.connect(new StdioV1(command(setting)))
  return client
}

/** Connects the stdio client of SDK v2 through the proxy; `era` chooses how it starts. */
export async function connectV2(
  setting: ProxySetting,
  mode: 'legacy' | 'auto' = 'legacy',
): Promise<ClientV2> {
  const client = new ClientV2(
    { name: 'host-v2', version: '1.0.0' },
    { versionNegotiation: { mode } },
  )
  onTestFinished(() => client.close())
  await client.connect(new StdioV2(command(setting)))
  return client
}

/** A host that writes what it is told, and counts the answers to each request. */
export interface RawHost {
  readonly pid: number
  /** All messages of the proxy, in their order. */
  readonly received: readonly Json[]
  /** Standard error so far. */
  said(): string
  send(message: object | string): void
  /** Sends a request with the next ID, and waits for its answer. */
  request(method: string, params?: object): Promise<Json>
  /** The answers to a request. */
  answers(id: string | number): readonly Json[]
  /** Sends `initialize` and `notifications/initialized`. */
  initialize(protocolVersion?: string): Promise<Json>
  /** Closes standard input, and waits for the end. */
  end(): Promise<number | null>
  signal(name: NodeJS.Signals): void
  readonly ended: Promise<number | null>
  pause(): void
  resume(): void
  /** Closes the read end of standard output, so that the proxy gets EPIPE. */
  closeOutput(): void
}

/** Starts the proxy for one test, as a host does. */
export function startHost(setting: ProxySetting): RawHost {
  const { command: program, args, env } = command(setting)
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stdin.on('error', () => {})
  const received: Json[] = []
  const waiting = new Map<string, (answer: Json) => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    for (const message of [JSON.parse(line) as Json].flat()) {
      received.push(message)
      if (message.method === undefined) waiting.get(JSON.stringify(message.id))?.(message)
    }
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const send = (message: object | string) =>
    void child.stdin.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`)
  let next = 0
  const host: RawHost = {
    pid: child.pid ?? 0,
    received,
    ended,
    said: () => said,
    send,
    answers: (id) => received.filter((one) => one.method === undefined && one.id === id),
    request(method, params = {}) {
      next++
      const id = next
      const answer = new Promise<Json>((resolve, reject) => {
        waiting.set(JSON.stringify(id), resolve)
        ended.then(() => reject(new Error(`the proxy ended before it answered ${method}: ${said}`)))
      })
      send({ jsonrpc: '2.0', id, method, params })
      return answer
    },
    async initialize(protocolVersion = '2025-06-18') {
      const answer = await host.request('initialize', {
        protocolVersion,
        capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: {} },
        clientInfo: { name: 'raw-host', version: '1.0.0' },
      })
      if (answer['error'] === undefined) {
        send({ jsonrpc: '2.0', method: 'notifications/initialized' })
      }
      return answer
    },
    end() {
      child.stdin.end()
      return ended
    },
    signal: (name) => void child.kill(name),
    pause: () => void child.stdout.pause(),
    resume: () => void child.stdout.resume(),
    closeOutput: () => void child.stdout.destroy(),
  }
  return host
}
