import { backoff, rateLimit, stopwatch, timeoutSignal } from '@countersign/core/backend'
import { afterEach, describe, expect, it, vi } from 'vitest'

afterEach(() => vi.restoreAllMocks())

/** Seconds until another attempt is allowed, in steps of a hundredth. */
function delay(fails: number, { free = 0, asked }: { free?: number; asked?: number } = {}): number {
  let now = 1_000_000
  const delays = backoff(() => now)
  for (let failure = 0; failure < fails; failure++) delays.failed(asked)
  const start = now
  while (delays.tooEarly(free)) now += 10
  return (now - start) / 1000
}

describe('the delay after failures', () => {
  it('doubles from one second to a minute, each cut at random by up to half', () => {
    for (const [at, longest] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
      const delays = Array.from({ length: 50 }, () => delay(at + 1))
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(longest / 2)
      expect(Math.max(...delays)).toBeLessThanOrEqual(longest + 0.01)
      expect(new Set(delays).size).toBeGreaterThan(10)
    }
  })

  it('begins after the failures that are free', () => {
    expect([delay(1, { free: 2 }), delay(2, { free: 2 })]).toEqual([0, 0])
    expect(delay(3, { free: 2 })).toBeGreaterThanOrEqual(0.5)
  })

  it('is never shorter than the server asked, up to an hour, and differs between clients', () => {
    const delays = Array.from({ length: 50 }, () => delay(1, { free: 2, asked: 120 }))
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(120)
    expect(Math.max(...delays)).toBeLessThanOrEqual(150.01)
    expect(new Set(delays).size).toBeGreaterThan(10)
    vi.spyOn(Math, 'random').mockReturnValue(0.999)
    expect(delay(1, { asked: 86_400 })).toBeLessThan(3601)
  })

  it('ends with a success, and when the clock was set back', () => {
    let now = 1_000_000
    const delays = backoff(() => now)
    for (let failure = 0; failure < 10; failure++) delays.failed()
    expect(delays.tooEarly()).toBe(true)
    now -= 1
    expect(delays.tooEarly()).toBe(false)
    now += 1
    delays.succeeded()
    expect(delays.tooEarly()).toBe(false)
    delays.failed()
    now += 1000
    expect(delays.tooEarly()).toBe(false)
    delays.failed(120)
    delays.succeeded()
    expect(delays.tooEarly()).toBe(false)
  })
})

describe('a rate limit', () => {
  it('permits a burst, and after it one in each interval, up to the burst', () => {
    let now = 1_000_000
    const permits = rateLimit(3, 60, () => now)
    const count = (calls: number) => Array.from({ length: calls }, permits).filter(Boolean).length
    expect(count(5)).toBe(3)
    now += 59_900
    expect(count(2)).toBe(0)
    now += 100
    expect(count(2)).toBe(1)
    now += 125_000
    expect(count(4)).toBe(2)
    now += 3_600_000
    expect(count(9)).toBe(3)
  })

  it('is not lifted by a clock that is set back, and not spent by it', () => {
    let now = 1_000_000
    const permits = rateLimit(2, 60, () => now)
    expect(permits()).toBe(true)
    now -= 3_600_000
    expect([permits(), permits()]).toEqual([true, false])
  })
})

describe('a stopwatch', () => {
  it('follows the clock that has advanced more', async () => {
    let now = 1_000_000
    const elapsed = stopwatch(() => now)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(elapsed()).toBeGreaterThan(15)
    now -= 5000
    expect(elapsed()).toBeGreaterThan(15)
    now += 65_000
    expect(elapsed()).toBe(60_000)
  })
})

it('a timeout may have any fraction of a millisecond', async () => {
  for (const seconds of [2.01, 0.0101, 1 / 3, 600]) {
    expect(timeoutSignal(seconds).aborted).toBe(false)
  }
  const signal = timeoutSignal(0.0101)
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  expect(signal.reason).toMatchObject({ name: 'TimeoutError' })
})
