/** A JSON-RPC request ID. */
export type MessageId = string | number

/** What the proxy reads of one JSON-RPC message. It forwards the text, and not this. */
export type Message =
  | {
      readonly kind: 'request'
      readonly id: MessageId
      readonly method: string
      readonly params: Params
    }
  | { readonly kind: 'notification'; readonly method: string; readonly params: Params }
  | {
      readonly kind: 'response'
      readonly id: MessageId | null
      readonly result: unknown
      readonly error: unknown
    }

/** The members of `params` that decide how a message is sent. */
export interface Params {
  readonly name?: unknown
  readonly arguments?: unknown
  readonly uri?: unknown
  readonly taskId?: unknown
  readonly requestId?: unknown
  readonly protocolVersion?: unknown
  readonly _meta?: { readonly [key: string]: unknown }
}

/** One text of JSON: a message, or a batch of them as protocol version 2025-03-26 has it. */
export interface Envelope {
  readonly text: string
  readonly messages: readonly Message[]
}

/** Why a text is not a JSON-RPC message, with the code that JSON-RPC gives it. */
export class MessageError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }

  static {
    Object.defineProperty(MessageError.prototype, 'name', { value: 'MessageError' })
  }
}

/** The codes of the errors that the proxy itself answers with. */
export const errorCodes = {
  parse: -32700,
  invalidRequest: -32600,
  invalidParams: -32602,
  /** The message has too many octets. */
  tooLong: -32001,
  /** The server did not get the request, or its answer is not known. */
  proxy: -32000,
} as const

/** A message is refused above this many octets. */
export const longestMessage: number = 64 * 1024 * 1024

/**
 * Reads the members of a message that decide where it goes.
 *
 * @throws {@link MessageError} when the text is not JSON, or not JSON-RPC 2.0.
 */
export function readEnvelope(text: string): Envelope {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Without the message of the parser, which quotes the text.
    throw new MessageError(errorCodes.parse, 'The text is not JSON')
  }
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (values.length === 0) throw new MessageError(errorCodes.invalidRequest, 'The batch is empty')
  return { text, messages: values.map(readMessage) }
}

function readMessage(value: unknown): Message {
  const members = (typeof value === 'object' && value !== null ? value : {}) as {
    readonly id?: unknown
    readonly method?: unknown
    readonly params?: unknown
    readonly result?: unknown
    readonly error?: unknown
  }
  const { id, method, result, error } = members
  const params = (
    typeof members.params === 'object' && members.params !== null ? members.params : {}
  ) as Params
  if (typeof method === 'string') {
    if (id === undefined) return { kind: 'notification', method, params }
    if (isId(id)) return { kind: 'request', id, method, params }
  } else if (result !== undefined || error !== undefined) {
    if (id === undefined || id === null) return { kind: 'response', id: null, result, error }
    if (isId(id)) return { kind: 'response', id, result, error }
  }
  throw new MessageError(
    errorCodes.invalidRequest,
    'The message is not JSON-RPC 2.0: it needs a method, or an id with a result or an error',
  )
}

const isId = (id: unknown): id is MessageId => typeof id === 'string' || typeof id === 'number'

/** A key for maps: the IDs 1 and "1" are different. */
export const keyOf = (id: MessageId): string => JSON.stringify(id)

/** The response that the proxy itself gives to a request. */
export function errorResponse(
  id: MessageId | null,
  code: number,
  message: string,
  data?: object,
): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, ...(data && { data }) } })
}

/**
 * The text on one line, as the stdio transport wants it. Strings in JSON cannot contain line breaks, so those of the
 * text are only between its parts.
 */
export const onOneLine = (text: string): string => text.replaceAll(/[\r\n]+/g, ' ')

/** Whether it starts a session. */
export const isInitialize = ({ messages: [first] }: Envelope): boolean =>
  first?.kind === 'request' && first.method === 'initialize'

/** Whether it is the first request of a host, in either era of the protocol. */
export const isFirstRequest = (envelope: Envelope): boolean => {
  const [first] = envelope.messages
  return isInitialize(envelope) || (first?.kind === 'request' && first.method === 'server/discover')
}
