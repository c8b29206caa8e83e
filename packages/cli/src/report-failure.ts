import { CommanderError } from 'commander'
import { describeFailure } from './failure.ts'
import { hang, widthOf } from './output.ts'
import { clearProgress } from './progress.ts'
import { jsonText, redact, withoutControls } from './redact.ts'

/** How an error is to be shown. */
export interface ReportOptions {
  readonly json: boolean
  /** Whether to show the stack, of the causes too. */
  readonly verbose: boolean
  /** How long the command waits for a key or a server. */
  readonly timeoutSeconds?: number | undefined
}

/** Writes an error on standard error, and sets the exit code. */
export function reportFailure(error: unknown, options: ReportOptions): void {
  const { json, verbose, timeoutSeconds } = options
  const { exitCode, ...failure } = describeFailure(error, timeoutSeconds)
  process.exitCode = exitCode
  clearProgress()
  process.stderr.write(
    `${json ? jsonText({ error: failure }) : layOut(failure.message, widthOf(process.stderr))}\n`,
  )
  // The parser's own error repeats what it was given.
  if (verbose && !(error instanceof CommanderError))
    process.stderr.write(`${withoutControls(redact(stackOf(error)))}\n`)
}

/** Writes a message as one line; on a terminal, lines break at its width, and each suggestion has its own. */
export function layOut(message: string, width: number | undefined): string {
  if (width === undefined) return `countersign: ${message}`
  const [found = '', ...suggestions] = message.split('; ')
  return [
    hang('countersign: ', found, width),
    ...suggestions.map((one) => hang('  - ', one, width)),
  ].join('\n')
}

/** Stacks of an error and of its causes; not what else hangs on them, which may be a request with its credentials. */
function stackOf(error: unknown, depth = 5): string {
  if (!(error instanceof Error)) return String(error)
  const stack = error.stack ?? `${error.name}: ${error.message}`
  return error.cause === undefined || depth === 0
    ? stack
    : `${stack}\ncaused by: ${stackOf(error.cause, depth - 1)}`
}
