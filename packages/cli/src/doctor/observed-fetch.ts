import type { Fetch } from '@countersign/oauth'
import { type BearerChallenge, bearerChallenge } from '@countersign/oauth/provider'

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

/** How a server's clock stands against this one. */
export interface ClockReading {
  /** How far the server is ahead of us; below 0 when it is behind. */
  readonly aheadSeconds: number
  /** Half the width of what it may be: `Date` has whole seconds, and the answer was on its way for a while. */
  readonly toleranceSeconds: number
}

/** Reads the clock of whoever made a response from its `Date`, RFC 9110 §6.6.1. */
export function readClock(
  response: Response,
  sentAt: number,
  receivedAt: number,
): ClockReading | undefined {
  const date = Date.parse(response.headers.get('date') ?? '')
  // A cache repeats the date of when it got the response.
  if (Number.isNaN(date) || response.headers.has('age')) return undefined
  const aheadSeconds = (date + 500 - (sentAt + receivedAt) / 2) / 1000
  return { aheadSeconds, toleranceSeconds: 0.5 + (receivedAt - sentAt) / 2000 }
}

/** What a difference counts for: authorization servers are known to refuse one of more than 15 s. */
export const tolerableSeconds = 10

/** Whether the clocks differ by more than the reading itself is uncertain by. */
export function differs({ aheadSeconds, toleranceSeconds }: ClockReading, seconds = 0): boolean {
  return Math.abs(aheadSeconds) > toleranceSeconds + seconds
}

/** The difference in words, from where this machine stands. */
export function describeClock(reading: ClockReading, whose: string): string {
  const { aheadSeconds, toleranceSeconds } = reading
  if (!differs(reading)) return `this clock and that of ${whose} agree`
  const seconds = Math.abs(aheadSeconds)
  const difference = seconds < 120 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} min`
  const where = aheadSeconds > 0 ? 'behind' : 'ahead of'
  return `this clock is ${difference} ${where} that of ${whose} (±${toleranceSeconds.toFixed(1)} s)`
}
