import { describe, expect, test } from 'vitest'
import { retriedCalls } from '../src/retried-calls.ts'

const never = new Promise<never>(() => {})
const { signal } = new AbortController()

describe('a call through an SDK that retries', () => {
  test('rejects before the deadline with the failure of the latest attempt, and is aborted', async () => {
    const reasons: unknown[] = []
    const outcome = retriedCalls(0.1).run(signal, (call) => {
      call.signal.addEventListener('abort', () => reasons.push(call.signal.reason))
      call.failed('first')
      call.failed('second')
      return never
    })
    await expect(outcome).rejects.toBe('second')
    expect(reasons).toEqual(['second'])
  })

  test('that had no failed attempt is left to its deadline', async () => {
    const late = new Promise((resolve) => setTimeout(resolve, 150, 'late'))
    expect(await retriedCalls(0.1).run(signal, () => late)).toBe('late')
  })

  test('rejects at once with a failure of its last moment', async () => {
    const outcome = retriedCalls(0.1).run(signal, (call) => {
      setTimeout(() => call.failed('last'), 150)
      return never
    })
    await expect(outcome).rejects.toBe('last')
  })

  test('settles as it does when that is earlier, whatever failed before', async () => {
    const calls = retriedCalls(10)
    const signed = calls.run(signal, async (call) => {
      call.failed('first')
      return 'signed'
    })
    expect(await signed).toBe('signed')
    await expect(calls.run(signal, () => Promise.reject('refused'))).rejects.toBe('refused')
    const broken = calls.run(signal, () => {
      throw new TypeError('broken')
    })
    await expect(broken).rejects.toThrow('broken')
  })

  test("is aborted with the caller's reason, also when the caller aborted before", async () => {
    const controller = new AbortController()
    const seen: unknown[] = []
    const watch = (call: { signal: AbortSignal }) => {
      const note = () => void seen.push(call.signal.reason)
      if (call.signal.aborted) note()
      else call.signal.addEventListener('abort', note)
      return never
    }
    retriedCalls(10).run(controller.signal, watch)
    controller.abort('why')
    retriedCalls(10).run(controller.signal, watch)
    expect(seen).toEqual(['why', 'why'])
  })
})

test('the calls of a load share one deadline, and each later call has its own', async () => {
  let now = 1000
  const calls = retriedCalls(2, () => now)
  const timeOf = () => calls.run(signal, async ({ milliseconds }) => milliseconds)
  expect(await timeOf()).toBe(2000)
  now += 1500.25
  expect(await timeOf()).toBe(500)
  now += 5000
  expect(await timeOf()).toBe(1)
  calls.loaded()
  expect(await timeOf()).toBe(2000)
})
