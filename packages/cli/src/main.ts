import { CommanderError } from 'commander'
import { exitCodes } from './errors.ts'
import { jsonText, redact, withoutControls } from './output.ts'
import { createProgram } from './program.ts'

/** How errors and warnings are printed. */
interface ReportOptions {
  readonly json: boolean
  readonly verbose: boolean
  timeoutSeconds?: number | undefined
}

/** Runs the command line, and sets the exit code of the process. It does not throw. */
export async function main(argv: readonly string[] = process.argv): Promise<void> {
  const options = reportOptions(argv)
  printWarnings(options)
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
    if (error instanceof CommanderError && isPrinted(error)) {
      process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    } else {
      await report(error, options)
    }
  }
}

/** Reads the raw arguments, because an error may occur before they are parsed. */
function reportOptions(argv: readonly string[]): ReportOptions {
  const debug = process.env['DEBUG']?.split(/[\s,]+/) ?? []
  return {
    json: argv.includes('--json'),
    verbose: argv.includes('--verbose') || debug.includes('countersign') || debug.includes('*'),
  }
}

/** Whether commander has already printed help or the version. */
const isPrinted = ({ code, exitCode }: CommanderError): boolean =>
  exitCode === 0 || code === 'commander.help'

/** A reader that needs only the first lines, such as head, closes the pipe before the end. */
function endUnlessClosedPipe({ code }: NodeJS.ErrnoException, { json }: ReportOptions): void {
  if (code === 'EPIPE') return
  const message = `The output cannot be written (${code}); check that there is space`
  const failure = { error: { code: 'ERR_OUTPUT', message } }
  process.stderr.write(json ? `${JSON.stringify(failure)}\n` : `countersign: ${message}\n`)
  // Without this, the command would exit with 0.
  process.exit(exitCodes.internal)
}

async function report(error: unknown, options: ReportOptions): Promise<void> {
  try {
    const { reportFailure } = await import('./failure.ts')
    reportFailure(error, options)
  } catch (cause) {
    // A package is missing. Without this, the command would exit with 0.
    process.exitCode = exitCodes.internal
    const [reason = ''] = String((cause as Error).message).split('\n')
    process.stderr.write(`countersign: ${withoutControls(reason)}; install countersign again\n`)
  }
}

/** Warnings about the version of Node.js or of a library, which users of the command did not choose. */
const versionWarning = /^(?:DeprecationWarning|ExperimentalWarning)$/
const supportWarning = /^NodeVersionSupportWarning/

/** Prints the warnings of Node.js and of libraries on one line each; those about versions with `--verbose` only. */
function printWarnings({ json, verbose }: ReportOptions): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => {
    if (!verbose && (versionWarning.test(name) || supportWarning.test(message))) return
    const line = withoutControls(redact(message).replaceAll(/\s+/g, ' ')).trim()
    process.stderr.write(
      json ? `${jsonText({ warning: { message: line } })}\n` : `countersign: ${line}\n`,
    )
  })
}
