import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { Fixtures } from '../cli/fixtures.ts'
import { type Guard, startGuard } from '../servers/guard.js'
import { until } from '../support/until.js'

/** An MCP server in a process of its own, behind a guard that asks for tokens. */
export interface ServerProcess {
  readonly guard: Guard
  /** What it printed, over all starts. */
  readonly lines: readonly string[]
  /** Ends the process by SIGKILL. */
  kill(): Promise<void>
  /** Starts it again on the same port. */
  start(): Promise<void>
}

/** Starts `server-process.js` for one test. */
export async function startServerProcess({ servers }: Fixtures): Promise<ServerProcess> {
  const program = fileURLToPath(new URL('server-process.js', import.meta.url))
  const lines: string[] = []
  let child: ChildProcess | undefined
  let port = '0'

  async function start(): Promise<void> {
    const from = lines.length
    const started = spawn(process.execPath, [program, port], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child = started
    started.stdout.setEncoding('utf8').on('data', (text: string) => {
      lines.push(...text.split('\n').filter((line) => line !== ''))
    })
    const isUp = () => lines.slice(from).some((line) => line.startsWith('port '))
    await until(isUp, 20)
    port = lines.find((line) => line.startsWith('port '))?.slice('port '.length) ?? ''
  }

  async function kill(): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  onTestFinished(kill)
  await start()
  const { authorizationServer } = servers
  const guard = await startGuard({ target: `http://127.0.0.1:${port}`, authorizationServer })
  onTestFinished(() => guard.close())
  return { guard, lines, kill, start }
}
