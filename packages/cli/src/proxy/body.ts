import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { longestMessage } from './message.ts'

/** The media type of a response, without its parameters. */
export const mediaTypeOf = ({ headers }: Response): string =>
  (headers.get('content-type') ?? '').replace(/;.*$/s, '').trim().toLowerCase()

/**
 * Reads the events of a response. No more of the response is read before the caller asks for the next event.
 *
 * @param onRetry - called with the delay in milliseconds that the server wants before a reconnection.
 * @throws `Error` when an event is too long, or the connection is lost.
 *
 * @see [HTML, server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html)
 */
export async function* readEvents(
  response: Response,
  onRetry: (ms: number) => void = () => {},
): AsyncGenerator<EventSourceMessage, void> {
  if (response.body === null) return
  let events: EventSourceMessage[] = []
  let isTooLong = false
  const parser = createParser({
    maxBufferSize: longestMessage,
    onEvent: (event) => void events.push(event),
    onRetry,
    onError({ type }) {
      isTooLong ||= type === 'max-buffer-size-exceeded'
    },
  })
  const decoder = new TextDecoder()
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    parser.feed(decoder.decode(chunk, { stream: true }))
    if (isTooLong) throw new Error(`an event has more than ${longestMessage} characters`)
    const read = events
    events = []
    yield* read
  }
}

/**
 * Reads the text of a response.
 *
 * @throws `Error` when it has more than `most` octets, or the connection is lost.
 */
export async function readText({ body }: Response, most: number = longestMessage): Promise<string> {
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > most) throw new Error(`the response has more than ${most} octets`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Reads the start of a text for a message, and discards the rest. */
export async function readExcerpt(response: Response): Promise<string> {
  return readText(response, longestExcerpt).catch(() => '')
}

const longestExcerpt = 65_536
