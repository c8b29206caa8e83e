import { expect, test } from 'vitest'
import { outbox } from '../src/outbox.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('what comes up in one turn of the event loop goes in one message, at its end', async () => {
  const sent: (readonly number[])[] = []
  const post = outbox<number>(8, (items) => sent.push(items))
  post(1)
  // As callers go on who have just had their answers.
  await Promise.resolve().then(() => post(2))
  expect(sent).toEqual([])
  await turn()
  expect(sent).toEqual([[1, 2]])
  post(3)
  await turn()
  expect(sent).toEqual([[1, 2], [3]])
})

test('a part goes as soon as it is full, and what is left at the end of the turn', async () => {
  const sent: (readonly number[])[] = []
  const post = outbox<number>(2, (items) => sent.push(items))
  for (const item of [1, 2, 3, 4, 5]) post(item)
  expect(sent).toEqual([
    [1, 2],
    [3, 4],
  ])
  await turn()
  expect(sent).toEqual([[1, 2], [3, 4], [5]])
})
