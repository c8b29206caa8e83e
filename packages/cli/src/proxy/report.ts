import type { Readable, Writable } from 'node:stream'
import { describeFailure } from '../failure.ts'
import { describeMcpError } from '../mcp-client.ts'
import { redact, withoutControls } from '../output.ts'
import { lineWriter, readLines } from './lines.ts'
import { errorCodes, errorResponse, readEnvelope } from './message.ts'

/** Writes a line to standard error, without secrets. */
export function noticeLine(line: string): void {
  process.stderr.write(`countersign: ${withoutControls(redact(line).replaceAll(/\s+/g, ' '))}\n`)
}

/** Makes a function that describes an error as the other commands do. */
export const describeFor =
  (url: URL, timeoutSeconds: number) =>
  (error: unknown): string =>
    describeFailure(describeMcpError(error, url, timeoutSeconds), timeoutSeconds).message

/** Answers the first request of the host with an error, because hosts show that and not standard error. */
export async function answerFirstRequest(
  input: Readable,
  output: Writable,
  error: unknown,
  timeoutSeconds: number,
): Promise<void> {
  const { code, message } = describeFailure(error, timeoutSeconds)
  const timer = setTimeout(() => input.destroy(), firstRequestMs)
  try {
    for await (const line of readLines(input)) {
      const [first] = line === undefined ? [] : readEnvelope(line).messages
      if (first?.kind !== 'request') continue
      const data = { code, fate: 'not sent' }
      await lineWriter(output).write(errorResponse(first.id, errorCodes.proxy, message, data))
      return
    }
  } catch {
    // The error itself is reported next.
  } finally {
    clearTimeout(timer)
  }
}

/** Hosts send their first request at once. */
const firstRequestMs = 5000
