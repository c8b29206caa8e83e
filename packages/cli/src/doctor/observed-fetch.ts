import type { Fetch } from '@countersign/oauth'
import { type BearerChallenge, bearerChallenge } from '@countersign/oauth/provider'
import { type ClockReading, readClock } from './clock.ts'

/** What a server answered last. */
export interface Answer {
  readonly status: number
  readonly challenge: BearerChallenge | undefined
}

/** A `fetch` that remembers what each server answered last, and nothing of what it was sent. */
export interface ObservedFetch {
  readonly fetch: Fetch
  /** The last answer to a POST to a URL, whatever its query. */
  answerOf(url: string | URL): Answer | undefined
  /** Forgets that answer, so that the next one is not taken for it. */
  forgetAnswer(url: string | URL): void
  /** The clock of a URL's origin by its last answer that says. */
  clockOf(url: string | URL): ClockReading | undefined
}

export function observeFetch(fetch: Fetch, now: () => number): ObservedFetch {
  const answers = new Map<string, Answer>()
  const clocks = new Map<string, ClockReading>()
  return {
    async fetch(input, init) {
      const sent = now()
      const response = await fetch(input, init)
      const url = new URL(input instanceof Request ? input.url : input)
      const clock = readClock(response, sent, now())
      if (clock !== undefined) clocks.set(url.origin, clock)
      // An MCP client asks for a stream by the way, which a server may refuse as it likes.
      if (init?.method === 'POST') {
        const challenge = await bearerChallenge(response)
        answers.set(withoutQuery(url), { status: response.status, challenge })
      }
      return response
    },
    answerOf: (url) => answers.get(withoutQuery(url)),
    forgetAnswer: (url) => void answers.delete(withoutQuery(url)),
    clockOf: (url) => clocks.get(new URL(url).origin),
  }
}

function withoutQuery(url: string | URL): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}
