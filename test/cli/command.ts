import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The built command, as npm links it. */
export const bin: string = fileURLToPath(new URL('../../packages/cli/dist/bin.js', import.meta.url))

/** The built command of the demo. */
export const demoBin: string = fileURLToPath(
  new URL('../../packages/demo/dist/bin.js', import.meta.url),
)

/** How a command ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  /** Without what it says when something takes more than a second, which is no failure on a busy machine. */
  readonly stderr: string
  /** Standard error as it is. */
  readonly said: string
}

/** What a command is run with. */
export interface Setting {
  /** The whole environment, but for what finds programs. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly input?: string
  /** Options of node itself. */
  readonly node?: readonly string[]
  /** The command to run, in place of `countersign`. */
  readonly bin?: string
}

/** Runs the command in a child process, in pipes, and with nothing of this environment. */
export function countersign(args: readonly string[], setting: Setting = {}): Promise<Ended> {
  const child = spawn(process.execPath, [...(setting.node ?? []), setting.bin ?? bin, ...args], {
    cwd: setting.cwd,
    env: { PATH: process.env['PATH'], ...setting.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.on('error', () => {})
  child.stdin.end(setting.input ?? '')
  let stdout = ''
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) =>
      resolve({ code, signal, stdout, stderr: withoutProgress(said), said }),
    )
  })
}

const withoutProgress = (said: string): string => said.replaceAll(/^[A-Z][\w ]+ …\n/gm, '')
