import { addAbortSignal, type Readable, type Writable } from 'node:stream'
import { onAbort } from '@countersign/core/backend'
import { openCalls } from './calls.ts'
import { HostMessages } from './host-messages.ts'
import { lineWriter, readLines } from './lines.ts'
import { type ForwardOptions, openServerMessages } from './server-messages.ts'

/** Options of {@link serveStdio}. */
export interface StdioOptions extends ForwardOptions {
  readonly input: Readable
  readonly output: Writable
  /** How long requests under way may take after the host has closed its end. */
  readonly graceSeconds: number
  /** Ends the proxy. Requests under way may take 2 s longer. */
  readonly signal: AbortSignal
}

/** How long requests under way may take after an interruption. */
const interruptionSeconds = 2

/** How long the proxy waits for the server to end the session. */
const endMs = 500

/**
 * Connects the host on the standard streams with the server, until the host closes its end or the signal aborts.
 * Messages are forwarded as they are. Each request of the host gets one answer: that of the server, or an error that says
 * whether the server has seen the request.
 */
export async function serveStdio(options: StdioOptions): Promise<void> {
  const { input, output, graceSeconds, signal } = options
  const stop = new AbortController()
  const common = { ...options, calls: openCalls(), output: lineWriter(output), signal: stop.signal }
  const server = openServerMessages(common)
  const host = new HostMessages({ ...common, server })
  const late = new AbortController()
  const timers: NodeJS.Timeout[] = []
  const endAfter = (seconds: number) =>
    void timers.push(setTimeout(() => late.abort(), seconds * 1000))
  const interrupted = onAbort(signal, () => endAfter(interruptionSeconds))
  output.once('close', () => stop.abort(new Error('standard output was closed')))
  const reading = AbortSignal.any([stop.signal, signal])
  try {
    for await (const line of readLines(addAbortSignal(reading, input))) await host.receive(line)
    endAfter(graceSeconds)
  } catch (error) {
    if (!reading.aborted) {
      late.abort()
      throw error
    }
  } finally {
    await host.finish(AbortSignal.any([late.signal, stop.signal]))
    interrupted()
    for (const timer of timers) clearTimeout(timer)
    stop.abort(new Error('the proxy ends'))
    await server.exchange.session.end(AbortSignal.timeout(endMs))
  }
  signal.throwIfAborted()
}
