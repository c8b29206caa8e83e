import { CommanderError } from 'commander'
import { exitCodes } from './exit-code.ts'
import { createProgram } from './program.ts'
import type { ReportOptions } from './report-failure.ts'
import { sayWarnings } from './warnings.ts'

/** Runs the command line, and sets the exit code of the process. Nothing is thrown. */
export async function main(argv: readonly string[] = process.argv): Promise<void> {
  const options: Mutable<ReportOptions> = reportOptions(argv)
  sayWarnings(options)
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => endUnlessClosedPipe(error, options))
  }
  process.on('uncaughtException', (error) => {
    void report(error, options).finally(() => process.exit())
  })
  const program = createProgram().hook('preAction', (_program, command) => {
    options.timeoutSeconds = command.opts<{ timeout?: number }>().timeout
  })
  try {
    await program.parseAsync(argv)
  } catch (error) {
    if (error instanceof CommanderError && isShown(error)) {
      process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    } else {
      await report(error, options)
    }
  }
}

type Mutable<T> = { -readonly [member in keyof T]: T[member] }

/** Read from the words as they are: an error may come before they are understood. */
function reportOptions(argv: readonly string[]): ReportOptions {
  const debug = process.env['DEBUG']?.split(/[\s,]+/) ?? []
  return {
    json: argv.includes('--json'),
    verbose: argv.includes('--verbose') || debug.includes('countersign') || debug.includes('*'),
  }
}

/** Help and version have been written already. */
const isShown = ({ code, exitCode }: CommanderError): boolean =>
  exitCode === 0 || code === 'commander.help'

/** Whoever reads only the first lines has closed the pipe before the last ones. */
function endUnlessClosedPipe({ code }: NodeJS.ErrnoException, { json }: ReportOptions): void {
  if (code === 'EPIPE') return
  const message = `What was to be printed cannot be written (${code}); see that there is space`
  const failure = { error: { code: 'ERR_OUTPUT', message } }
  process.stderr.write(json ? `${JSON.stringify(failure)}\n` : `countersign: ${message}\n`)
  // Now, before the command ends as if all had been written.
  process.exit(exitCodes.internal)
}

async function report(error: unknown, options: ReportOptions): Promise<void> {
  const { reportFailure } = await import('./report-failure.ts')
  reportFailure(error, options)
}
