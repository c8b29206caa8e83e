import { CommanderError } from 'commander'
import { describeFailure } from './failure.ts'
import { jsonText, redact, withoutControls } from './redact.ts'

/** How an error is to be shown. */
export interface ReportOptions {
  readonly json: boolean
  /** Whether to show the stack, of the causes too. */
  readonly verbose: boolean
}

/** Writes an error on standard error, and sets the exit code. */
export function reportFailure(error: unknown, { json, verbose }: ReportOptions): void {
  const { exitCode, ...failure } = describeFailure(error)
  process.exitCode = exitCode
  process.stderr.write(
    json ? `${jsonText({ error: failure })}\n` : `countersign: ${failure.message}\n`,
  )
  // The parser's own error repeats what it was given.
  if (verbose && !(error instanceof CommanderError))
    process.stderr.write(`${withoutControls(redact(stackOf(error)))}\n`)
}

/** Stacks of an error and of its causes; not what else hangs on them, which may be a request with its credentials. */
function stackOf(error: unknown, depth = 5): string {
  if (!(error instanceof Error)) return String(error)
  const stack = error.stack ?? `${error.name}: ${error.message}`
  return error.cause === undefined || depth === 0
    ? stack
    : `${stack}\ncaused by: ${stackOf(error.cause, depth - 1)}`
}
