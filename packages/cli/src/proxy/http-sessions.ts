import { randomUUID } from 'node:crypto'
import { type Envelope, keyOf, type Message, type MessageId } from './message.ts'
import type { Session } from './session.ts'

/** A session of the server, and the requests that a new one needs again. */
export interface LocalSession {
  readonly session: Session
  /** Subscriptions by their URI, and the level of logging. */
  readonly changes: Map<string, Envelope>
  /** Requests of the server, with the session that they belong to. */
  readonly asked: Map<string, number>
}

const mostSessions = 1000
const mostChanges = 1000
const mostAsked = 10_000
const endMs = 500

/** The sessions by the ID that the host has, which stays the same when the server forgets the session. */
export class LocalSessions {
  readonly #sessions = new Map<string, LocalSession>()

  /** Adds a session, and returns its ID. The session that was used longest ago is ended if there are too many. */
  add(session: Session, changes: Map<string, Envelope>): string {
    const id = randomUUID()
    this.#sessions.set(id, { session, changes, asked: new Map() })
    const [oldest] = this.#sessions
    if (this.#sessions.size > mostSessions && oldest !== undefined) {
      this.#sessions.delete(oldest[0])
      void oldest[1].session.end(AbortSignal.timeout(endMs))
    }
    return id
  }

  get(id: string): LocalSession | undefined {
    const local = this.#sessions.get(id)
    if (local === undefined) return undefined
    // The map is in the order of use.
    this.#sessions.delete(id)
    this.#sessions.set(id, local)
    return local
  }

  delete(id: string): void {
    this.#sessions.delete(id)
  }

  /** Ends the sessions of the server. */
  async end(): Promise<void> {
    const signal = AbortSignal.timeout(endMs)
    await Promise.all([...this.#sessions.values()].map(({ session }) => session.end(signal)))
  }
}

/** Keeps a request of the server, for {@link isOutdated}. */
export function rememberAsked({ asked }: LocalSession, id: MessageId, generation: number): void {
  asked.set(keyOf(id), generation)
  const [oldest = ''] = asked.keys()
  if (asked.size > mostAsked) asked.delete(oldest)
}

/** Whether it answers a request that the server made in a session that it has forgotten. */
export function isOutdated(
  { messages: [first] }: Envelope,
  { asked, session }: LocalSession,
): boolean {
  if (first?.kind !== 'response' || first.id === null) return false
  const generation = asked.get(keyOf(first.id))
  return generation !== undefined && generation !== session.generation
}

/** Keeps a request that changes the session. */
export function remember(
  { changes }: LocalSession,
  message: Message | undefined,
  envelope: Envelope,
): void {
  if (message?.kind !== 'request') return
  const { method, params } = message
  if (method === 'resources/unsubscribe') changes.delete(String(params.uri))
  else if (changes.size < mostChanges) {
    if (method === 'resources/subscribe') changes.set(String(params.uri), envelope)
    if (method === 'logging/setLevel') changes.set(method, envelope)
  }
}
