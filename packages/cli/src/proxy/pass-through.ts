import { createParser } from 'eventsource-parser'
import { mediaTypeOf, readEvents, readText } from './body.ts'
import {
  type Envelope,
  keyOf,
  longestMessage,
  type Message,
  type MessageId,
  readEnvelope,
} from './message.ts'

/** How a response is passed through. */
export interface PassThroughOptions {
  /** The message of the host; `undefined` for a GET request. */
  readonly envelope: Envelope | undefined
  /** Is told of each request of the server. */
  readonly onRequest: (id: MessageId) => void
  /** Changes the text of each message; without it, the octets stay as they are. */
  readonly change: ((text: string) => string) | undefined
  /** Makes the answers to the requests of these IDs, whose response has ended early. */
  readonly whenBroken: (ids: ReadonlySet<string>, cause: unknown) => string[]
}

/**
 * Passes a response through. A stream that ends before its requests are answered, and whose events have no IDs with
 * which the host could resume it, gets an error for each of them at its end.
 */
export async function* passThrough(
  response: Response,
  options: PassThroughOptions,
): AsyncGenerator<Uint8Array | string, void> {
  const { change } = options
  if (mediaTypeOf(response) === 'text/event-stream') yield* passStream(response, options)
  else if (change === undefined) yield* chunksOf(response)
  else {
    const text = await readText(response)
    // The response to a notification has no body.
    yield text.trim() === '' ? text : change(text)
  }
}

async function* passStream(
  response: Response,
  { envelope, onRequest, change, whenBroken }: PassThroughOptions,
): AsyncGenerator<Uint8Array | string, void> {
  const requests = envelope?.messages.filter((one) => one.kind === 'request') ?? []
  const unanswered = new Set(requests.map(({ id }) => keyOf(id)))
  let canBeResumed = false
  const observe = (event: { readonly id?: string | undefined; readonly data: string }) => {
    canBeResumed ||= event.id !== undefined
    for (const message of messagesIn(event.data)) {
      if (message.kind === 'request') onRequest(message.id)
      else if (message.kind === 'response' && message.id !== null)
        unanswered.delete(keyOf(message.id))
    }
  }
  let cause: unknown
  try {
    yield* change === undefined ? observed(response, observe) : changed(response, change, observe)
  } catch (error) {
    cause = error
  }
  if (unanswered.size === 0 || canBeResumed) {
    if (cause !== undefined) throw cause
    return
  }
  for (const answer of whenBroken(unanswered, cause)) yield `\n\ndata: ${answer}\n\n`
}

function messagesIn(text: string): readonly Message[] {
  if (text === '') return []
  try {
    return readEnvelope(text).messages
  } catch {
    return []
  }
}

const chunksOf = ({ body }: Response) => (body ?? []) as unknown as AsyncIterable<Uint8Array>

/** The octets of a stream, whose events are read beside. */
async function* observed(
  response: Response,
  observe: (event: { readonly id?: string | undefined; readonly data: string }) => void,
): AsyncGenerator<Uint8Array, void> {
  const parser = createParser({ maxBufferSize: longestMessage, onEvent: observe })
  const decoder = new TextDecoder()
  for await (const chunk of chunksOf(response)) {
    parser.feed(decoder.decode(chunk, { stream: true }))
    yield chunk
  }
}

async function* changed(
  response: Response,
  change: (text: string) => string,
  observe: (event: { readonly id?: string | undefined; readonly data: string }) => void,
): AsyncGenerator<string, void> {
  let retry: number | undefined
  const onRetry = (ms: number) => {
    retry = ms
  }
  for await (const one of readEvents(response, onRetry)) {
    observe(one)
    const lines = [
      ...(retry === undefined ? [] : [`retry: ${retry}`]),
      ...(one.id === undefined ? [] : [`id: ${one.id}`]),
      ...(one.event === undefined ? [] : [`event: ${one.event}`]),
      `data: ${one.data === '' ? '' : change(one.data)}`,
    ]
    retry = undefined
    yield `${lines.join('\n')}\n\n`
  }
}
