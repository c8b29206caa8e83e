import { Command } from 'commander'
import { type ExitCode, exitCodeTable } from './exit-code.ts'
import { interruptible, orInterrupted } from './interruption.ts'
import { type Output, openOutput } from './output.ts'
import { withProgress } from './progress.ts'

/** What every command runs in. */
export interface Frame {
  readonly output: Output
  /** Aborts when the person or the system that started the command ends it. */
  readonly signal: AbortSignal
  /** Says on standard error what is being waited for, if it takes more than a second. */
  progress<T>(sentence: string, work: () => Promise<T>): Promise<T>
}

/** What a command is for, as help says it. */
export interface CommandText {
  /** One line, for the list of commands. */
  readonly summary: string
  /** What it does, in full sentences. */
  readonly description: string
  /** Command lines that work, each with what it is for. */
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
  command.option('--json', 'print JSON, errors too')

/** What runs a command: its arguments as they stand on the command line, and its options. */
export type Run<Arguments extends readonly unknown[], Options> = (
  frame: Frame,
  args: Arguments,
  options: Options,
) => Promise<ExitCode | undefined>

/**
 * Turns what runs a command into commander's action handler.
 *
 * What it returns becomes the exit code of the process, 0 when that is `undefined`; what it throws is
 * the caller's of `parseAsync`.
 */
export function runs<Arguments extends readonly unknown[], Options extends object>(
  run: Run<Arguments, Options>,
): (this: Command) => Promise<void> {
  return async function action(this: Command): Promise<void> {
    const options = this.opts<Options & { readonly json?: boolean }>()
    const output = openOutput(options.json === true)
    const signal = interruptible()
    const frame: Frame = {
      output,
      signal,
      progress: (sentence, work) => withProgress(output, sentence, work),
    }
    const running = run(frame, this.processedArgs as unknown as Arguments, options)
    process.exitCode = (await orInterrupted(running, signal)) ?? 0
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
