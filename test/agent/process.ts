import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { bin } from '../cli/command.ts'

/** `countersign agent` in a process of its own. */
export interface AgentProcess {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  readonly pid: number
  /** What it wrote on standard error until now. */
  said(): string
  /** Waits until it has written this on standard error. */
  says(text: string): Promise<void>
  /** Ends it, and returns its exit code or the name of the signal. */
  end(signal?: NodeJS.Signals): Promise<number | string | null>
}

/** Starts `countersign agent`, and waits until it listens or ends. It is ended after the test at the latest. */
export async function startAgentProcess(
  args: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>
    /** A program and its arguments that runs the command. */
    readonly by?: readonly string[]
  } = {},
): Promise<AgentProcess> {
  const [program = process.execPath, ...before] = options.by ?? []
  const node = options.by === undefined ? [] : [process.execPath]
  const child = spawn(program, [...before, ...node, bin, 'agent', ...args], {
    env: { PATH: process.env['PATH'], ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  const ended = new Promise<number | string | null>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal))
  })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    ended.then((code) => reject(new Error(`the agent ended with ${code}: ${said}`)))
  })
  return {
    child,
    pid: child.pid ?? 0,
    said: () => said,
    async says(text) {
      for (let waited = 0; !said.includes(text); waited += 20) {
        if (waited > 15_000) throw new Error(`the agent did not say ${text}, but: ${said}`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    async end(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
}
