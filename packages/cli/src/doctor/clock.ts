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
