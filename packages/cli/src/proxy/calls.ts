import {
  type Envelope,
  errorCodes,
  errorResponse,
  keyOf,
  type Message,
  type MessageId,
} from './message.ts'
import type { Fate } from './upstream.ts'

/** A request of the host, or a batch of them, that the server has not answered yet. */
export interface Call {
  readonly envelope: Envelope
  /** The requests without an answer, by the key of their ID. */
  readonly unanswered: Map<string, HostRequest>
  /** Aborts when the host no longer wants the answer. */
  readonly controller: AbortController
  /** Whether the host cancelled it, after which it needs no answer. */
  isCancelled: boolean
}

/** A request of the host. */
export type HostRequest = Extract<Message, { readonly kind: 'request' }>

/** The requests of the host that wait for their answer. Each gets one answer, and no other. */
export interface Calls {
  readonly size: number
  /** Adds a call; `undefined` when one of its IDs is in use. */
  add(envelope: Envelope): Call | undefined
  /** Whether a request of the call has no answer yet. */
  has(call: Call): boolean
  /** The call with a request of this ID. */
  find(id: MessageId): Call | undefined
  /** Counts a request as answered; `undefined` when it has been answered, or was never made. */
  answered(id: MessageId): HostRequest | undefined
  /** Removes a call, and makes the answers to its requests that have none. */
  fail(call: Call, failure: Failure): string[]
  /** Removes a call that needs no answer. */
  remove(call: Call): void
  /** The calls that need an answer. */
  unfinished(): readonly Call[]
  /** Resolves when there is no call. */
  idle(): Promise<void>
}

/** Why a call failed, for the answer. */
export interface Failure {
  readonly message: string
  readonly fate: Fate
  readonly code?: string | undefined
}

/** A request that stays open as long as the host runs, such as a subscription. */
const isLasting = ({ method }: HostRequest): boolean => method === 'subscriptions/listen'

/** Makes the {@link Calls} of one host. */
export function openCalls(): Calls {
  const calls = new Map<string, Call>()
  let waiting: (() => void)[] = []

  const isIdle = () =>
    [...calls.values()].every(
      ({ isCancelled, unanswered }) => isCancelled || [...unanswered.values()].every(isLasting),
    )

  function notify(): void {
    if (waiting.length === 0 || !isIdle()) return
    for (const resolve of waiting) resolve()
    waiting = []
  }

  function remove(call: Call): void {
    for (const key of call.unanswered.keys()) calls.delete(key)
    call.unanswered.clear()
    notify()
  }

  return {
    get size() {
      return calls.size
    },
    add(envelope) {
      const requests = envelope.messages.filter((one) => one.kind === 'request')
      const unanswered = new Map(requests.map((one) => [keyOf(one.id), one]))
      if (unanswered.size < requests.length) return undefined
      if ([...unanswered.keys()].some((key) => calls.has(key))) return undefined
      const controller = new AbortController()
      const call = { envelope, unanswered, controller, isCancelled: false }
      for (const key of unanswered.keys()) calls.set(key, call)
      return call
    },
    has: ({ unanswered }) => unanswered.size > 0,
    find: (id) => calls.get(keyOf(id)),
    answered(id) {
      const key = keyOf(id)
      const call = calls.get(key)
      const request = call?.unanswered.get(key)
      call?.unanswered.delete(key)
      calls.delete(key)
      notify()
      return request
    },
    fail(call, { message, fate, code }) {
      const requests = [...call.unanswered.values()]
      remove(call)
      const data = { fate, ...(code === undefined ? {} : { code }) }
      return requests.map(({ id }) => errorResponse(id, errorCodes.proxy, message, data))
    },
    remove,
    unfinished: () => [...new Set(calls.values())].filter(({ isCancelled }) => !isCancelled),
    idle: () =>
      isIdle() ? Promise.resolve() : new Promise<void>((resolve) => waiting.push(resolve)),
  }
}

/** How an answer says what happened to the request. */
export const fateSentences: Readonly<Record<Fate, string>> = {
  'not sent': 'the request was not sent',
  refused: 'the server refused the request, and has not run it',
  unknown: 'the request was sent, and whether the server ran it is unknown',
}
