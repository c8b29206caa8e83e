import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { longestMessage } from './message.ts'

/**
 * Reads the lines of a stream, without their line feeds. A line that is too long is returned as `undefined`, once, when
 * its end is read.
 */
export async function* readLines(input: Readable): AsyncGenerator<string | undefined, void> {
  let parts: Buffer[] = []
  let length = 0
  const take = (rest: Buffer): string | undefined => {
    const isTooLong = length + rest.length > longestMessage
    const line = isTooLong ? undefined : Buffer.concat([...parts, rest]).toString('utf8')
    parts = []
    length = 0
    return line
  }
  for await (const chunk of input as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = take(chunk.subarray(start, end))
      start = end + 1
      if (line?.trim() !== '') yield line
    }
    const rest = chunk.subarray(start)
    length += rest.length
    if (length > longestMessage) parts = []
    else if (rest.length > 0) parts.push(rest)
  }
  const last = take(Buffer.alloc(0))
  if (last?.trim() !== '') yield last
}

/** Writes lines to a stream, and waits while its reader is behind. */
export interface LineWriter {
  write(line: string): Promise<void>
}

/** Makes the {@link LineWriter} of a stream. After the stream is closed, lines are dropped. */
export function lineWriter(output: Writable): LineWriter {
  let draining: Promise<unknown> | undefined
  return {
    async write(line) {
      // In a loop: of several writers that waited, the first one may have filled the stream.
      while (draining !== undefined) await draining
      if (output.destroyed || output.write(`${line}\n`)) return
      const stop = new AbortController()
      const { signal } = stop
      draining = Promise.race([
        once(output, 'drain', { signal }),
        once(output, 'close', { signal }),
      ])
        .catch(() => {})
        .finally(() => {
          stop.abort()
          draining = undefined
        })
      await draining
    },
  }
}
