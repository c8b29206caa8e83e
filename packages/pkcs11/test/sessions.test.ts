import { beforeEach, describe, expect, test } from 'vitest'
import { SessionPool } from '../src/sessions.ts'

const anchor = Buffer.from('anchor')
let opened: Buffer[]
let closed: Buffer[]
let failure: Error | undefined

beforeEach(() => {
  opened = []
  closed = []
  failure = undefined
})

function pool(sessions: number, there = 100): SessionPool {
  const open = () => {
    if (failure !== undefined) throw failure
    if (opened.length - closed.length >= there) {
      throw Object.assign(new Error('CKR_SESSION_COUNT'), { code: 177 })
    }
    const session = Buffer.from(`session ${opened.length}`)
    opened.push(session)
    return session
  }
  return new SessionPool(open, (session) => closed.push(session), anchor, sessions)
}

describe('sessions', () => {
  test('are opened one by one, as they are needed', () => {
    const sessions = pool(4)
    const first = sessions.lend() as Buffer
    sessions.giveBack(first)
    expect(sessions.lend()).toBe(first)
    sessions.lend()
    expect(opened).toHaveLength(2)
  })

  test('are handed over in the order in which they were asked for', async () => {
    const sessions = pool(1)
    const session = sessions.lend() as Buffer
    const order: string[] = []
    const waiting = ['a', 'b', 'c'].map(async (name) => {
      const lent = await sessions.lend()
      order.push(name)
      sessions.giveBack(lent)
    })
    sessions.giveBack(session)
    // Whoever asks now comes after those who wait.
    const late = Promise.resolve(sessions.lend()).then(() => order.push('late'))
    await Promise.all([...waiting, late])
    expect(order).toEqual(['a', 'b', 'c', 'late'])
    expect(opened).toHaveLength(1)
  })

  test('that failed are closed, and another one is opened for whoever waits', async () => {
    const sessions = pool(1)
    const session = sessions.lend() as Buffer
    const waiting = sessions.lend()
    sessions.discard(session)
    expect(closed).toEqual([session])
    expect(await waiting).toBe(opened[1])
  })

  test('that cannot be opened any more leave nobody waiting', async () => {
    const sessions = pool(1)
    const session = sessions.lend() as Buffer
    const waiting = [sessions.lend(), sessions.lend()].map((one) => Promise.resolve(one))
    failure = new Error('gone')
    sessions.discard(session)
    for (const one of waiting) await expect(one).rejects.toBe(failure)
  })
})

describe('a token with fewer sessions than were asked for', () => {
  test('is used with those that there are', async () => {
    const sessions = pool(4, 2)
    const first = sessions.lend() as Buffer
    const second = sessions.lend() as Buffer
    const third = sessions.lend()
    expect(third).toBeInstanceOf(Promise)
    sessions.giveBack(second)
    expect(await third).toBe(second)
    expect(first).not.toBe(second)
  })

  test('signs in the session that keeps the login when it has no other', async () => {
    const sessions = pool(4, 0)
    expect(sessions.lend()).toBe(anchor)
    const waiting = sessions.lend()
    sessions.giveBack(anchor)
    expect(await waiting).toBe(anchor)
    expect(closed).toEqual([])
  })

  test('goes on in that session when an operation failed, since the login would go with it', async () => {
    const sessions = pool(1, 0)
    sessions.lend()
    const waiting = sessions.lend()
    sessions.discard(anchor)
    expect(await waiting).toBe(anchor)
    expect(closed).toEqual([])
  })
})

test('a pool that has ended closes what is idle now and what is lent later, and rejects those who wait', async () => {
  const sessions = pool(2)
  const [idle, lent] = [sessions.lend() as Buffer, sessions.lend() as Buffer]
  const waiting = Promise.resolve(sessions.lend())
  sessions.end()
  sessions.giveBack(idle)
  sessions.discard(lent)
  expect(closed).toEqual([idle, lent])
  await expect(waiting).rejects.toThrow('This signer was closed')
  expect(() => sessions.lend()).toThrow('This signer was closed')
})
