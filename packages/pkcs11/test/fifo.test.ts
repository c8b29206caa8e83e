import { expect, test } from 'vitest'
import { fifo } from '../src/fifo.ts'

const never = new AbortController().signal

function gate() {
  let open: () => void = () => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}

test('as many calls run at once as there is room for, the others in their order', async () => {
  const enter = fifo(2)
  const gates = [gate(), gate(), gate(), gate()]
  const started: number[] = []
  const calls = gates.map((each, index) =>
    enter(never, async () => {
      started.push(index)
      await each.promise
      return index
    }),
  )
  await Promise.resolve()
  expect(started).toEqual([0, 1])
  gates[1]?.open()
  await calls[1]
  expect(started).toEqual([0, 1, 2])
  for (const each of gates) each.open()
  expect(await Promise.all(calls)).toEqual([0, 1, 2, 3])
})

test('whoever waits and aborts leaves with the very reason, and nobody else waits longer', async () => {
  const enter = fifo(1)
  const first = gate()
  const running = enter(never, () => first.promise)
  const controller = new AbortController()
  const left = enter(controller.signal, async () => 'must not run')
  const behind = enter(never, async () => 'behind')
  const reason = { any: 'thing' }
  controller.abort(reason)
  await expect(left).rejects.toBe(reason)
  first.open()
  await running
  expect(await behind).toBe('behind')
})

test('a call that fails makes room', async () => {
  const enter = fifo(1)
  const failing = enter(never, async () => {
    throw new Error('no')
  })
  const behind = enter(never, async () => 'behind')
  await expect(failing).rejects.toThrow('no')
  expect(await behind).toBe('behind')
})

test('whoever has aborted already does not run', async () => {
  const reason = new Error('before')
  const enter = fifo(1)
  await expect(enter(AbortSignal.abort(reason), async () => 1)).rejects.toBe(reason)
  expect(await enter(never, async () => 2)).toBe(2)
})
