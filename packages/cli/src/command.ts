import { createRequire } from 'node:module'
import { Command } from 'commander'
import { type ExitCode, exitCodeTable, Interruption } from './errors.ts'
import { type Output, openOutput, withProgress } from './output.ts'

/** The version of this package. */
export const version: string = (
  createRequire(import.meta.url)('../package.json') as { readonly version: string }
).version

/** What a command gets when it runs. */
export interface Context {
  readonly output: Output
  /** Aborts at SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** Prints on standard error what the command waits for, if the work takes longer than a second. */
  progress<T>(sentence: string, work: () => Promise<T>): Promise<T>
}

/** The help of a command. */
export interface CommandText {
  /** One line, for the list of commands. */
  readonly summary: string
  /** What it does, in full sentences. */
  readonly description: string
  /** Command lines that work, and what each is for. */
  readonly examples: readonly (readonly [line: string, purpose: string])[]
}

/** Makes a command with its help: description, options, examples, exit codes. */
export function defineCommand(name: string, text: CommandText): Command {
  const { summary, description, examples } = text
  return new Command(name)
    .summary(summary)
    .description(description)
    .option('--verbose', 'show the stack of an error (also: DEBUG=countersign)')
    .addHelpText('after', () => `\n${examplesText(examples)}\n\n${exitCodesText()}`)
}

/** Adds `--json`, for commands that print data. */
export const addJsonOption = (command: Command): Command =>
  command.option('--json', 'print JSON, also for errors')

/** Runs a command with its parsed arguments and options. */
export type Run<Arguments extends readonly unknown[], Options> = (
  context: Context,
  args: Arguments,
  options: Options,
) => Promise<ExitCode | undefined>

/**
 * Makes commander's action handler of a function that runs a command.
 *
 * The function's result becomes the exit code of the process, 0 when it is `undefined`. Its errors reject
 * `parseAsync`.
 *
 * @param graceMs - how long the function may run after an interruption; 1000 by default.
 */
export function runs<Arguments extends readonly unknown[], Options extends object>(
  run: Run<Arguments, Options>,
  { graceMs = defaultGraceMs }: { readonly graceMs?: number } = {},
): (this: Command) => Promise<void> {
  return async function action(this: Command): Promise<void> {
    const options = this.opts<Options & { readonly json?: boolean }>()
    const output = openOutput(options.json === true)
    const signal = interruptible()
    const context: Context = {
      output,
      signal,
      progress: (sentence, work) => withProgress(output, sentence, work),
    }
    const running = run(context, this.processedArgs as unknown as Arguments, options)
    process.exitCode = (await orInterrupted(running, signal, graceMs)) ?? 0
  }
}

/** Makes a signal that aborts at the first SIGINT or SIGTERM. A second one ends the process at once. */
function interruptible(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => controller.abort(new Interruption(`interrupted by ${name}`)))
  }
  return controller.signal
}

/** How long interrupted work may take to end and to release its resources. */
const defaultGraceMs = 1000

/** Settles as the work does, or rejects when it continues after an interruption, as a read from a pipe does. */
async function orInterrupted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  graceMs: number,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const stuck = new Promise<never>((_resolve, reject) => {
    const abort = () => {
      timer = setTimeout(() => reject(signal.reason), graceMs)
    }
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, stuck])
  } finally {
    clearTimeout(timer)
  }
}

function examplesText(examples: CommandText['examples']): string {
  const lines = examples.flatMap(([line, purpose]) => [`  # ${purpose}`, `  ${line}`])
  return ['Examples:', ...lines].join('\n')
}

function exitCodesText(): string {
  const lines = exitCodeTable.map(([code, meaning]) => `  ${String(code).padEnd(3)}  ${meaning}`)
  return ['Exit codes:', ...lines].join('\n')
}
